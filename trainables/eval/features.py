"""Kinematic features of canonical movements: what two-sample tests compare.

Fifteen neuromotor features describe how straight, how smooth and how even in time a movement is; five spectral ones
(`spectra.py`) say where in frequency its velocity has its power. All are dimensionless (see `motion.py`), computed
in float64, unchanged by a mirror at the chord and by anything beyond the mask.

Quantities with heavy tails are given as logarithms. Acceleration, jerk and the count of submovements can be zero, so
theirs is log(1 + x): it needs no floor, and leaves a uniform motion at 0 instead of at the logarithm of rounding noise.

References: Sensitivity of Smoothness Measures to Movement Duration, Amplitude, and Arrests (Hogan & Sternad, 2009),
doi:10.3200/35-09-004-RC, for the dimensionless jerk.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.eval.motion import Motion, check_motion
from trainables.eval.spectra import SPECTRAL_FEATURES, spectral_features, velocity_spectrum

__all__ = [
    "FEATURES",
    "NEUROMOTOR_FEATURES",
    "SPECTRAL_FEATURES",
    "kinematic_summary",
    "movement_features",
    "neuromotor_features",
    "spectral_features",
    "velocity_spectrum",
]

ROUNDING = 1e-6  # relative: two speeds or headings closer than this are the same, whatever float32 made of them
SUBMOVEMENT_HEIGHT = 0.1  # of the smoothed peak: lower local maxima are tremor and quantisation


def path_efficiency(motion: Motion) -> Float[Tensor, "N"]:
    """Net displacement over path length, in (0, 1]."""
    net = motion.deltas.sum(dim=1)
    return torch.hypot(net[:, 0], net[:, 1]) / motion.length.sum(dim=1)


def mean_abs_heading_change(motion: Motion) -> Float[Tensor, "N"]:
    """Mean of |wrapped heading change| in radians, over consecutive moving steps; 0 if a single step moves."""
    return _mean(*_heading_changes(motion))


def heading_change_std(motion: Motion) -> Float[Tensor, "N"]:
    """Standard deviation of |wrapped heading change|; 0 if a single step moves.

    Of the absolute value, because the sign of an exact reversal (frequent on a pixel grid) is rounding noise.
    """
    return _std(*_heading_changes(motion))


def lateral_rms(motion: Motion) -> Float[Tensor, "N"]:
    """Root mean square distance from the chord, over the positions after each step."""
    return _mean(motion.lateral.square(), motion.mask).sqrt()


def lateral_max(motion: Motion) -> Float[Tensor, "N"]:
    """Largest distance from the chord on either side."""
    return motion.lateral.abs().amax(dim=1)


def speed_std(motion: Motion) -> Float[Tensor, "N"]:
    """Standard deviation of the speed over the steps."""
    return _std(motion.speed, motion.mask)


def log_speed_peak(motion: Motion) -> Float[Tensor, "N"]:
    """log of the largest speed; the mean speed along the chord is 1, so it is never negative."""
    return motion.peak_speed.squeeze(1).log()


def time_to_peak(motion: Motion) -> Float[Tensor, "N"]:
    """Share of the duration that has passed in the middle of the first fastest step."""
    fastest = motion.speed >= (1 - ROUNDING) * motion.peak_speed
    first = fastest.to(torch.int8).argmax(dim=1).to(torch.float64)
    return (first + 0.5) / motion.steps


def log_acceleration_rms(motion: Motion) -> Float[Tensor, "N"]:
    """log(1 + RMS of |second difference of position| / dt^2)."""
    return _mean(_acceleration(motion).square(), motion.mask[:, 1:]).sqrt().log1p()


def log_acceleration_peak(motion: Motion) -> Float[Tensor, "N"]:
    """log(1 + largest |second difference of position| / dt^2)."""
    return _acceleration(motion).amax(dim=1).log1p()


def log_jerk_rms(motion: Motion) -> Float[Tensor, "N"]:
    """log(1 + RMS of |third difference of position| / dt^3): the dimensionless jerk; sqrt(720) for minimum jerk."""
    a, rate = motion.deltas, motion.rate
    jerk: Tensor = torch.linalg.vector_norm(a[:, 2:] - 2 * a[:, 1:-1] + a[:, :-2], dim=2) * rate.pow(3)
    return _mean(jerk.square(), motion.mask[:, 2:]).sqrt().log1p()


def path_first_half(motion: Motion) -> Float[Tensor, "N"]:
    """Share of the path travelled in the first half of the time; the middle step of an odd n counts by half."""
    index = torch.arange(motion.mask.shape[1], device=motion.mask.device)
    before_half = (motion.rate / 2 - index).clamp(0.0, 1.0)
    return (motion.length * before_half).sum(dim=1) / motion.length.sum(dim=1)


def still_share(motion: Motion) -> Float[Tensor, "N"]:
    """Share of the steps that have exactly zero length."""
    return 1 - _mean(motion.moving.to(torch.float64), motion.mask)


def backward_share(motion: Motion) -> Float[Tensor, "N"]:
    """Share of the moving steps that lead back along the chord (dx < 0 by more than rounding)."""
    backward = motion.deltas[..., 0] < -ROUNDING * motion.length
    return _mean(backward.to(torch.float64), motion.moving)


def submovements(motion: Motion) -> Float[Tensor, "N"]:
    """log(1 + count of local maxima of the smoothed speed above `SUBMOVEMENT_HEIGHT` of its peak).

    The smoothed speed is the mean of three neighbours, with rest before the first and after the last step. A plateau
    is one maximum. The logarithm of the count, not the count over n, because the number of submovements belongs to
    the movement and not to the sampling.
    """
    rest = motion.speed.new_zeros(motion.speed.shape[0], 1)
    padded = torch.cat([rest, motion.speed, rest], dim=1)
    smooth = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3 * motion.mask
    peak = smooth.amax(dim=1, keepdim=True)
    slope = torch.cat([smooth, rest], dim=1) - torch.cat([rest, smooth], dim=1)
    changes = slope.abs() > ROUNDING * peak
    rising = _pack((slope > 0).to(torch.float64), changes) > 0
    height = _pack(torch.cat([smooth, rest], dim=1), changes)
    falls_next = ~rising[:, 1:] & _prefix(changes)[:, 1:]
    maxima = rising[:, :-1] & falls_next & (height[:, :-1] > SUBMOVEMENT_HEIGHT * peak)
    return maxima.sum(dim=1).to(torch.float64).log1p()


NEUROMOTOR: Mapping[str, Callable[[Motion], Tensor]] = {
    "path_efficiency": path_efficiency,
    "mean_abs_heading_change": mean_abs_heading_change,
    "heading_change_std": heading_change_std,
    "lateral_rms": lateral_rms,
    "lateral_max": lateral_max,
    "speed_std": speed_std,
    "log_speed_peak": log_speed_peak,
    "time_to_peak": time_to_peak,
    "log_acceleration_rms": log_acceleration_rms,
    "log_acceleration_peak": log_acceleration_peak,
    "log_jerk_rms": log_jerk_rms,
    "path_first_half": path_first_half,
    "still_share": still_share,
    "backward_share": backward_share,
    "submovements": submovements,
}
NEUROMOTOR_FEATURES: tuple[str, ...] = tuple(NEUROMOTOR)
FEATURES: tuple[str, ...] = NEUROMOTOR_FEATURES + SPECTRAL_FEATURES


def neuromotor_features(deltas: Float[Tensor, "N T 2"], mask: Bool[Tensor, "N T"]) -> Float[Tensor, "N 15"]:
    """Columns `NEUROMOTOR_FEATURES`, float64. Raises ValueError as `check_motion` does."""
    motion = check_motion(deltas, mask)
    return torch.stack([feature(motion) for feature in NEUROMOTOR.values()], dim=1)


def movement_features(deltas: Float[Tensor, "N T 2"], mask: Bool[Tensor, "N T"]) -> Float[Tensor, "N 20"]:
    """Columns `FEATURES`: neuromotor, then spectral; float64. Raises ValueError as `check_motion` does."""
    return torch.cat([neuromotor_features(deltas, mask), spectral_features(deltas, mask)], dim=1)


def kinematic_summary(features: Float[Tensor, "N F"]) -> dict[str, float]:
    """`{name}_mean` and `{name}_std` (over the N movements) of each column of one of the functions above."""
    known = {len(names): names for names in (NEUROMOTOR_FEATURES, SPECTRAL_FEATURES, FEATURES)}
    if features.ndim != 2 or features.shape[1] not in known or features.shape[0] < 2:
        raise ValueError(f"`features` must be [N >= 2, F in {sorted(known)}], but got {list(features.shape)}")
    columns = features.to(torch.float64)
    statistics = {"mean": columns.mean(dim=0).tolist(), "std": columns.std(dim=0).tolist()}
    names = known[features.shape[1]]
    return {f"{name}_{key}": values[i] for i, name in enumerate(names) for key, values in statistics.items()}


def _acceleration(motion: Motion) -> Float[Tensor, "N T1"]:
    """|second difference of position| / dt^2 between neighbouring valid steps, zero beyond them."""
    change: Tensor = torch.linalg.vector_norm(motion.deltas.diff(dim=1), dim=2) * motion.rate.square()
    return change * motion.mask[:, 1:]


def _heading_changes(motion: Motion) -> tuple[Float[Tensor, "N T1"], Bool[Tensor, "N T1"]]:
    """|angle| between successive moving steps, skipping still ones, and where such a pair exists."""
    x, y = (_pack(motion.deltas[..., c], motion.moving) for c in (0, 1))
    cross = x[:, :-1] * y[:, 1:] - y[:, :-1] * x[:, 1:]
    dot = x[:, :-1] * x[:, 1:] + y[:, :-1] * y[:, 1:]
    return torch.atan2(cross, dot).abs(), _prefix(motion.moving)[:, 1:]


def _pack(values: Float[Tensor, "N T"], chosen: Bool[Tensor, "N T"]) -> Float[Tensor, "N T"]:
    """The chosen values of each row moved to its front, in order; the rest follow."""
    return values.gather(1, (~chosen).to(torch.int8).argsort(dim=1, stable=True))


def _prefix(chosen: Bool[Tensor, "N T"]) -> Bool[Tensor, "N T"]:
    """Where `_pack` has put the chosen values."""
    return torch.arange(chosen.shape[1], device=chosen.device) < chosen.sum(dim=1, keepdim=True)


def _mean(values: Float[Tensor, "N T"], valid: Bool[Tensor, "N T"]) -> Float[Tensor, "N"]:
    """Mean over the valid entries of each row; 0 for a row without any."""
    return torch.where(valid, values, 0.0).sum(dim=1) / valid.sum(dim=1).clamp(min=1)


def _std(values: Float[Tensor, "N T"], valid: Bool[Tensor, "N T"]) -> Float[Tensor, "N"]:
    """Standard deviation (of the population) over the valid entries of each row."""
    return _mean((values - _mean(values, valid).unsqueeze(1)).square(), valid).sqrt()
