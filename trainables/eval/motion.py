"""A batch of canonical movements, checked once, from which all features are computed.

A movement is a sequence of displacements (dx, dy), one per step, in the frame where the net displacement is (1, 0):
the chord lies on +x and has unit length. Time is normalised as well: a movement of n steps lasts one unit, so a step
lasts 1/n. Every derived quantity is therefore dimensionless. The hand is taken to rest before and after the movement.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MINIMUM_STEPS = 4  # the third difference of position exists twice, so that a jerk can vary within a movement
NET_TOLERANCE = 1e-3  # how far the net displacement may lie from (1, 0)


@dataclass(frozen=True, eq=False)
class Motion:
    """Displacements in float64, exactly zero beyond the mask; made by `check_motion`."""

    deltas: Float[Tensor, "N T 2"]
    mask: Bool[Tensor, "N T"]

    @cached_property
    def steps(self) -> Int[Tensor, "N"]:
        """Valid steps n of each movement."""
        return self.mask.sum(dim=1)

    @cached_property
    def rate(self) -> Float[Tensor, "N 1"]:
        """Steps per unit of time, 1/dt = n."""
        return self.steps.to(torch.float64).unsqueeze(1)

    @cached_property
    def length(self) -> Float[Tensor, "N T"]:
        """Length of each step."""
        return torch.hypot(self.deltas[..., 0], self.deltas[..., 1])

    @cached_property
    def speed(self) -> Float[Tensor, "N T"]:
        """Step length over dt; its mean over the valid steps is the length of the path."""
        return self.length * self.rate

    @cached_property
    def peak_speed(self) -> Float[Tensor, "N 1"]:
        """Largest speed of each movement, positive because a movement moves."""
        return self.speed.amax(dim=1, keepdim=True)

    @cached_property
    def moving(self) -> Bool[Tensor, "N T"]:
        """Steps of non-zero length."""
        return self.length > 0

    @cached_property
    def lateral(self) -> Float[Tensor, "N T"]:
        """Distance from the chord after each step, signed, in chord lengths; stays at its last value beyond."""
        return self.deltas[..., 1].cumsum(dim=1)


def check_motion(deltas: Float[Tensor, "N T 2"], mask: Bool[Tensor, "N T"]) -> Motion:
    """Canonical movements ready for features; what stands beyond the mask is never read.

    Raises ValueError, naming the first bad row: a mask that is not a prefix, fewer than `MINIMUM_STEPS` valid steps,
    a non-finite valid displacement, no moving step, or a net displacement that is not (1, 0) within `NET_TOLERANCE`.
    """
    if deltas.ndim != 3 or deltas.shape[2] != 2 or mask.shape != deltas.shape[:2] or mask.dtype != torch.bool:
        got = f"{tuple(deltas.shape)} and {tuple(mask.shape)} of {mask.dtype}"
        raise ValueError(f"`deltas` must be [N, T, 2] and `mask` a boolean [N, T], but got {got}")
    steps = mask.sum(dim=1)
    _refuse((mask[:, 1:] & ~mask[:, :-1]).any(dim=1), "valid steps must be a prefix of the mask", steps)
    _refuse(steps < MINIMUM_STEPS, f"a movement must have at least {MINIMUM_STEPS} valid steps; drop it first", steps)
    kept = torch.where(mask.unsqueeze(2), deltas.detach().to(torch.float64), 0.0)
    _refuse(~kept.isfinite().all(dim=2).all(dim=1), "displacements must be finite", steps)
    _refuse((kept == 0).all(dim=2).all(dim=1), "a movement must have a moving step; drop still ones first", steps)
    net = kept.sum(dim=1)
    off = (net - net.new_tensor([1.0, 0.0])).abs().amax(dim=1) > NET_TOLERANCE
    _refuse(off, "the net displacement must be (1, 0); bring the movements into the canonical frame first", steps)
    return Motion(kept, mask)


def _refuse(bad: Bool[Tensor, "N"], law: str, steps: Int[Tensor, "N"]) -> None:
    """Raise ValueError with the first row where `bad` holds."""
    rows = bad.nonzero().flatten().tolist()
    if rows:
        raise ValueError(f"row {rows[0]} ({int(steps[rows[0]])} valid steps): {law} ({len(rows)} such rows)")
