"""Nuisance features: traces of the recorder or the preparation of a movement, and not of the movement itself.

In a recording: its clock, its whole numbers, its number of events. The canonical form is meant to remove them; what it
cannot remove remains visible, in the columns `CANONICAL`:

    off_pixel_share, off_tick, width_known   a step that is not in whole pixels, a duration between two ticks, a target
                                             width: not observed as recordings are, or prepared otherwise
    held_share                               a single still step between two fast ones: a hand does not stop for a
                                             sixtieth of a second at full speed, but a recorder whose events are no
                                             denser than the ticks skips one

Other still steps are no nuisances, but rests of the hand or motion below a pixel, and neither is the number of steps,
which is the duration. Duration, distance and direction are the condition of a movement. A tick with two events of a
faster recorder is indistinguishable from a fast movement, so that these columns are a lower bound of what is visible.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.data.canonical import Canonical, decode, rotate
from trainables.data.config import RATE_HZ, CanonicalConfig
from trainables.data.readers.recordings import Recording
from trainables.data.representation import prefix_mask
from trainables.eval.features.feature_tables import Array

FAST_PX = 3.0  # per step: at this speed a neighbour is about as long, unless an event was missed
ROUNDING = 1e-3  # pixels and ticks: in float32 a step of 2,000 px is known to 1e-4
CONDITIONS = ("log_duration_s", "log_distance_px", "cos_angle", "sin_angle")


def _quantile(share: float) -> Callable[[Recording], float]:
    return lambda recording: float(np.quantile(np.diff(recording.t_ms), share))


def _whole(values: Array) -> float:
    return float((values == np.round(values)).mean())


RAW: Mapping[str, Callable[[Recording], float]] = {
    "interval_ms_q10": _quantile(0.1),
    "interval_ms_q50": _quantile(0.5),
    "interval_ms_q90": _quantile(0.9),
    "first_interval_ms": lambda recording: float(recording.t_ms[1]),
    "zero_interval_share": lambda recording: float((np.diff(recording.t_ms) == 0).mean()),
    "distinct_interval_share": lambda r: len(np.unique(np.diff(r.t_ms).round(6))) / (len(r.t_ms) - 1),
    "whole_ms_share": lambda recording: _whole(recording.t_ms),
    "whole_px_share": lambda recording: _whole(np.concatenate([recording.x, recording.y])),
    "log_points": lambda recording: float(np.log(len(recording.t_ms))),
    "log_points_per_s": lambda r: float(np.log(len(r.t_ms) / max(r.t_ms[-1] / 1000, 1e-3))),
    "repeated_point_share": lambda r: float(((np.diff(r.x) == 0) & (np.diff(r.y) == 0)).mean()),
}


@dataclass(frozen=True, eq=False)
class _Motion:
    """Canonical movements, and the lengths of their steps in pixels at 60 Hz."""

    canonical: Canonical
    speed: Float[Tensor, "N S"]
    mask: Bool[Tensor, "N S"]


def _off_pixel_share(motion: _Motion) -> Float[Tensor, "N"]:
    steps = rotate(motion.canonical.steps_px()[..., :2], motion.canonical.angle)
    off = ((steps - steps.round()).abs() > ROUNDING).any(dim=-1) & motion.canonical.mask
    return off.sum(dim=1) / motion.canonical.mask.sum(dim=1)


def _off_tick(motion: _Motion) -> Float[Tensor, "N"]:
    ticks = motion.canonical.duration_s * RATE_HZ
    return ((ticks - ticks.round()).abs() > ROUNDING).double()


def _held_share(motion: _Motion) -> Float[Tensor, "N"]:
    """Return the share of held steps; the first and the last one are never held."""
    before, at, after = motion.speed[:, :-2], motion.speed[:, 1:-1], motion.speed[:, 2:]
    held = (at == 0) & (torch.minimum(before, after) >= FAST_PX)  # padding is not fast
    return held.sum(dim=1) / motion.mask.sum(dim=1)


CANONICAL: Mapping[str, Callable[[_Motion], Tensor]] = {
    "off_pixel_share": _off_pixel_share,
    "off_tick": _off_tick,
    "width_known": lambda motion: (~motion.canonical.target_width_px.isnan()).double(),
    "held_share": _held_share,
}


def raw_nuisances(recordings: Sequence[Recording]) -> Float[Tensor, "N F"]:
    """Return the columns `RAW`, float64."""
    table = [[feature(recording) for feature in RAW.values()] for recording in recordings]
    return torch.tensor(table, dtype=torch.float64)


def canonical_nuisances(canonical: Canonical, form: CanonicalConfig) -> Float[Tensor, "N F"]:
    """Return the columns `CANONICAL`, float64."""
    movements = decode(canonical, form)
    speed = movements.steps_px.norm(dim=-1)
    motion = _Motion(canonical, speed, prefix_mask(movements.length, speed.shape[1]))
    return torch.stack([feature(motion).double() for feature in CANONICAL.values()], dim=1)


def conditions(canonical: Canonical) -> Float[Tensor, "N F"]:
    """Return the columns `CONDITIONS`, float64."""
    angle = canonical.angle.double()
    parts = (canonical.duration_s.log(), canonical.distance_px.log(), angle.cos(), angle.sin())
    return torch.stack([part.double() for part in parts], dim=1)
