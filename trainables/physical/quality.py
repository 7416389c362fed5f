"""Signal-to-noise ratio of fitted movements, of path and of speed, against what whole pixels at 60 Hz allow.

    path    10 log10 sum |p - mean p|^2 / sum |p - p_fit|^2      over ticks
    speed   10 log10 sum |d|^2 / sum |d - d_fit|^2               over steps d, the differences of positions

Rounding to whole pixels has the variance 1/12 in each coordinate, 1/6 px^2 in a position and 1/3 px^2 in a step. A fit
that follows the pointer and not its rounding therefore reads 10 log10 3 |d|^2 of speed: 31 dB in steps of 20 px, 19 dB
in steps of 5 px. More is possible only where strokes follow the rounding.

References: O'Reilly & Plamondon (2009), eq. 14, doi:10.1016/j.patcog.2008.10.017, for the ratio of the vector of speed.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.physical.trajectories import Trajectories

POSITION_PX2, STEP_PX2 = 1 / 6, 1 / 3  # variance of rounding
FITTED_SPEED_DB, FITTED_PATH_DB = 10.0, 15.0  # of a movement that counts as fitted
LEAST_DB, BOUNDED_DB = -20.0, 100.0  # an error of ten times the signal; one of nothing


@dataclass(frozen=True, eq=False)
class Quality:
    """Ratios of each movement in dB; NaN where it has no tick or step of this kind.

    Attributes:
        path, speed: Of the fit.
        path_bound, speed_bound: What rounding to whole pixels allows.
    """

    path: Float[Tensor, "N"]
    speed: Float[Tensor, "N"]
    path_bound: Float[Tensor, "N"]
    speed_bound: Float[Tensor, "N"]

    @property
    def fitted(self) -> Bool[Tensor, "N"]:
        """Which movements count as fitted."""
        return (self.speed >= FITTED_SPEED_DB) & (self.path >= FITTED_PATH_DB)


def quality(path: Float[Tensor, "N T 2"], trajectories: Trajectories, *, held_out: bool = False) -> Quality:
    """Return the ratios of fitted positions over the ticks that were fitted, or over those that were held out.

    A held-out step is one that a held-out tick begins or ends.
    """
    whole, at = trajectories.ticks, trajectories.held_out if held_out else trajectories.observed
    steps = whole[:, 1:] & whole[:, :-1]
    touched = trajectories.held_out[:, 1:] | trajectories.held_out[:, :-1]
    steps = steps & (touched if held_out else ~touched)
    position = trajectories.position_px
    centre = _sum(position, whole)[:, None] / whole.sum(dim=1)[:, None, None]
    signal, error = position - centre, path - position
    step, step_error = position.diff(dim=1), error.diff(dim=1)
    return Quality(
        _db(_energy(signal, at), _energy(error, at)),
        _db(_energy(step, steps), _energy(step_error, steps)),
        _db(_energy(signal, at), POSITION_PX2 * at.sum(dim=1)),
        _db(_energy(step, steps), STEP_PX2 * steps.sum(dim=1)),
    )


def _sum(values: Float[Tensor, "N T 2"], at: Bool[Tensor, "N T"]) -> Float[Tensor, "N 2"]:
    return (values * at[..., None]).sum(dim=1)


def _energy(values: Float[Tensor, "N T 2"], at: Bool[Tensor, "N T"]) -> Float[Tensor, "N"]:
    return _sum(values.square(), at).sum(dim=1)


def _db(signal: Float[Tensor, "N"], noise: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    ratio = (10.0 * (signal / noise).log10()).clamp(LEAST_DB, BOUNDED_DB)
    return torch.where(signal > 0, ratio, torch.nan)
