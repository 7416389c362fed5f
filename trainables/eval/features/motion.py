"""Batch of canonical movements, checked once, from which all features are computed.

A movement is a sequence of displacements (dx, dy), one per step, in the frame where the net displacement is (1, 0):
the chord lies on +x and has unit length. Time is normalised as well: a movement of n steps lasts one unit, so a step
lasts 1/n. Every derived quantity is therefore dimensionless. The hand is taken to rest before and after the movement.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MINIMUM_STEPS = 4  # the third difference of position exists twice, so that a jerk can vary within a movement
NET_TOLERANCE = 1e-3  # how far the net displacement may lie from (1, 0)

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Motion:
    """Displacements in float64, exactly zero beyond the mask; made by `check_motion`.

    Arrays and not tensors: a call of NumPy costs a third of one of PyTorch, which dominates for a single movement.
    """

    deltas: Float[Floats, "N T 2"]
    mask: Bool[Booleans, "N T"]

    @cached_property
    def steps(self) -> Int[npt.NDArray[np.int64], "N"]:
        """Valid steps n of each movement."""
        values: npt.NDArray[np.int64] = self.mask.sum(axis=1)
        return values

    @cached_property
    def rate(self) -> Float[Floats, "N 1"]:
        """Steps per unit of time, 1/dt = n."""
        return self.steps.astype(np.float64)[:, None]

    @cached_property
    def length(self) -> Float[Floats, "N T"]:
        """Length of each step."""
        return np.hypot(self.deltas[..., 0], self.deltas[..., 1])

    @cached_property
    def path(self) -> Float[Floats, "N"]:
        """Length of the whole path."""
        total: Floats = self.length.sum(axis=1)
        return total

    @cached_property
    def speed(self) -> Float[Floats, "N T"]:
        """Step length over dt; its mean over the valid steps is the length of the path."""
        return self.length * self.rate

    @cached_property
    def peak_speed(self) -> Float[Floats, "N 1"]:
        """Largest speed of each movement, positive because a movement moves."""
        values: Floats = self.speed.max(axis=1, keepdims=True)
        return values

    @cached_property
    def moving(self) -> Bool[Booleans, "N T"]:
        """Steps of non-zero length."""
        return self.length > 0

    @cached_property
    def lateral(self) -> Float[Floats, "N T"]:
        """Distance from the chord after each step, signed, in chord lengths; stays at its last value beyond."""
        return self.deltas[..., 1].cumsum(axis=1)

    @cached_property
    def acceleration(self) -> Float[Floats, "N T1"]:
        """|second difference of position| / dt^2 between neighbouring valid steps, zero beyond them."""
        change: Floats = np.linalg.norm(self.deltas[:, 1:] - self.deltas[:, :-1], axis=2)
        return change * np.square(self.rate) * self.mask[:, 1:]

    @cached_property
    def heading_changes(self) -> tuple[Float[Floats, "N T1"], Bool[Booleans, "N T1"]]:
        """|angle| between successive moving steps, skipping still ones, and where such a pair exists."""
        x, y = (pack(self.deltas[..., c], self.moving) for c in (0, 1))
        cross = x[:, :-1] * y[:, 1:] - y[:, :-1] * x[:, 1:]
        dot = x[:, :-1] * x[:, 1:] + y[:, :-1] * y[:, 1:]
        return np.abs(np.arctan2(cross, dot)), packed(self.moving)[:, 1:]


def check_motion(deltas: Float[Tensor, "N T 2"], mask: Bool[Tensor, "N T"]) -> Motion:
    """Return canonical movements ready for features; values beyond the mask are never read.

    Raises ValueError, naming the first bad row: a mask that is not a prefix, fewer than `MINIMUM_STEPS` valid steps,
    a non-finite valid displacement, no moving step, or a net displacement that is not (1, 0) within `NET_TOLERANCE`.
    """
    if deltas.ndim != 3 or deltas.shape[2] != 2 or mask.shape != deltas.shape[:2] or mask.dtype != torch.bool:
        got = f"{tuple(deltas.shape)} and {tuple(mask.shape)} of {mask.dtype}"
        raise ValueError(f"expected `deltas` to be [N, T, 2] and `mask` a boolean [N, T], but got {got}")
    valid, shown = mask.numpy(force=True), deltas.numpy(force=True)
    steps = valid.sum(axis=1)
    gap = (valid[:, 1:] & ~valid[:, :-1]).any(axis=1)
    _refuse(gap, "the valid steps first in the mask", "padding before one", "pad at the end", steps)
    _refuse(steps < MINIMUM_STEPS, f"`valid steps >= {MINIMUM_STEPS}`", "fewer", "leave such movements out", steps)
    kept = np.where(valid[:, :, None], shown, 0.0).astype(np.float64)
    rows = kept.reshape(len(kept), 2 * kept.shape[1])
    _refuse(np.any(~np.isfinite(rows), axis=1), "finite displacements", "NaN or infinity", "leave them out", steps)
    _refuse(np.all(rows == 0, axis=1), "a step other than (0, 0)", "none", "leave still movements out", steps)
    off = np.abs(kept.sum(axis=1) - (1.0, 0.0)).max(axis=1) > NET_TOLERANCE
    _refuse(off, "the net displacement (1, 0)", "another one", "bring movements into the canonical frame", steps)
    return Motion(kept, valid)


def _refuse(bad: Bool[Booleans, "N"], law: str, got: str, remedy: str, steps: Int[npt.NDArray[np.int64], "N"]) -> None:
    """Raise ValueError with the first row where `bad` holds."""
    if bad.any():
        rows = np.flatnonzero(bad)
        place = f"row {rows[0]} ({steps[rows[0]]} valid steps)"
        raise ValueError(f"{place}: expected {law}, but got {got} ({len(rows)} such row(s)); {remedy}")


def pack(values: Float[Floats, "N T"], chosen: Bool[Booleans, "N T"]) -> Float[Floats, "N T"]:
    """Return the chosen values of each row moved to its front, in order; zeros follow."""
    result = np.zeros_like(values)
    result[packed(chosen)] = values[chosen]
    return result


def packed(chosen: Bool[Booleans, "N T"]) -> Bool[Booleans, "N T"]:
    """Return the mask of the values that `pack` has moved."""
    values: Booleans = np.arange(chosen.shape[1]) < chosen.sum(axis=1, keepdims=True)
    return values
