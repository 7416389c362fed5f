"""Kinematic features of canonical movements, the columns of two-sample tests.

Fifteen neuromotor features describe straightness, smoothness and timing of a movement; five spectral ones
(`spectral.py`) the distribution of the power of its velocity over frequency. All are dimensionless (see `motion.py`),
computed in float64, unchanged by a mirror at the chord and by anything beyond the mask.

Quantities with heavy tails are given as logarithms. Acceleration, jerk and the count of submovements can be zero, so
theirs is log(1 + x): it needs no floor, and leaves a uniform motion at 0 instead of at the logarithm of rounding noise.

References: Sensitivity of Smoothness Measures to Movement Duration, Amplitude, and Arrests (Hogan & Sternad, 2009),
doi:10.3200/35-09-004-RC, for the dimensionless jerk.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.eval.features.motion import Booleans, Floats, Motion, check_motion, pack, packed
from trainables.eval.features.spectral import SPECTRAL_FEATURES, band_features, spectral_features, velocity_spectrum

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


def path_efficiency(motion: Motion) -> Float[Floats, "N"]:
    """Net displacement over path length, in (0, 1]."""
    net: Floats = np.linalg.norm(motion.deltas.sum(axis=1), axis=1)
    return net / motion.path


def mean_abs_heading_change(motion: Motion) -> Float[Floats, "N"]:
    """Mean of |wrapped heading change| in radians, over consecutive moving steps; 0 if a single step moves."""
    return _mean(*motion.heading_changes)


def heading_change_std(motion: Motion) -> Float[Floats, "N"]:
    """Standard deviation of |wrapped heading change|; 0 if a single step moves.

    Of the absolute value, because the sign of an exact reversal (frequent on a pixel grid) is rounding noise.
    """
    return _std(*motion.heading_changes)


def lateral_rms(motion: Motion) -> Float[Floats, "N"]:
    """Root mean square distance from the chord, over the positions after each step."""
    return np.sqrt(_mean(np.square(motion.lateral), motion.mask))


def lateral_max(motion: Motion) -> Float[Floats, "N"]:
    """Largest distance from the chord on either side."""
    values: Floats = np.abs(motion.lateral).max(axis=1)
    return values


def speed_std(motion: Motion) -> Float[Floats, "N"]:
    """Standard deviation of the speed over the steps."""
    return _std(motion.speed, motion.mask)


def log_speed_peak(motion: Motion) -> Float[Floats, "N"]:
    """log of the largest speed; the mean speed along the chord is 1, so it is never negative."""
    return np.log(motion.peak_speed[:, 0])


def time_to_peak(motion: Motion) -> Float[Floats, "N"]:
    """Share of the duration that has passed in the middle of the first fastest step."""
    fastest = motion.speed >= (1 - ROUNDING) * motion.peak_speed
    values: Floats = (fastest.argmax(axis=1) + 0.5) / motion.steps
    return values


def log_acceleration_rms(motion: Motion) -> Float[Floats, "N"]:
    """log(1 + RMS of |second difference of position| / dt^2)."""
    return np.log1p(np.sqrt(_mean(np.square(motion.acceleration), motion.mask[:, 1:])))


def log_acceleration_peak(motion: Motion) -> Float[Floats, "N"]:
    """log(1 + largest |second difference of position| / dt^2)."""
    values: Floats = np.log1p(motion.acceleration.max(axis=1))
    return values


def log_jerk_rms(motion: Motion) -> Float[Floats, "N"]:
    """log(1 + RMS of |third difference of position| / dt^3): the dimensionless jerk; sqrt(720) for minimum jerk."""
    a, rate = motion.deltas, motion.rate
    jerk = np.linalg.norm(a[:, 2:] - 2 * a[:, 1:-1] + a[:, :-2], axis=2) * rate**3
    return np.log1p(np.sqrt(_mean(np.square(jerk), motion.mask[:, 2:])))


def path_first_half(motion: Motion) -> Float[Floats, "N"]:
    """Share of the path travelled in the first half of the time; the middle step of an odd n counts by half."""
    before_half = np.clip(motion.rate / 2 - np.arange(motion.mask.shape[1]), 0.0, 1.0)
    values: Floats = (motion.length * before_half).sum(axis=1) / motion.path
    return values


def still_share(motion: Motion) -> Float[Floats, "N"]:
    """Share of the steps that have exactly zero length."""
    return 1 - _share(motion.moving, motion.mask)


def backward_share(motion: Motion) -> Float[Floats, "N"]:
    """Share of the moving steps that lead back along the chord (dx < 0 by more than rounding)."""
    backward = motion.deltas[..., 0] < -ROUNDING * motion.length
    return _share(backward, motion.moving)


def submovements(motion: Motion) -> Float[Floats, "N"]:
    """log(1 + count of local maxima of the smoothed speed above `SUBMOVEMENT_HEIGHT` of its peak).

    The smoothed speed is the mean of three neighbours, with rest before the first and after the last step. A plateau
    is one maximum. The logarithm of the count, not the count over n, because the number of submovements belongs to
    the movement and not to the sampling.
    """
    rest = np.zeros((len(motion.speed), 1))
    padded = np.concatenate([rest, motion.speed, rest], axis=1)
    smooth = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3 * motion.mask
    peak = smooth.max(axis=1, keepdims=True)
    around = np.concatenate([rest, smooth, rest], axis=1)
    slope = around[:, 1:] - around[:, :-1]
    changes = np.abs(slope) > ROUNDING * peak
    rising = pack(np.where(slope > 0, 1.0, 0.0), changes) > 0
    height = pack(around[:, 1:], changes)
    falls_next = ~rising[:, 1:] & packed(changes)[:, 1:]
    maxima = rising[:, :-1] & falls_next & (height[:, :-1] > SUBMOVEMENT_HEIGHT * peak)
    values: Floats = np.log1p(maxima.sum(axis=1).astype(np.float64))
    return values


NEUROMOTOR: Mapping[str, Callable[[Motion], Floats]] = {
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
    """Return the columns `NEUROMOTOR_FEATURES`, float64. Raises ValueError as `check_motion` does."""
    return torch.from_numpy(_neuromotor(check_motion(deltas, mask))).to(deltas.device)


def movement_features(deltas: Float[Tensor, "N T 2"], mask: Bool[Tensor, "N T"]) -> Float[Tensor, "N 20"]:
    """Return the columns `FEATURES`: neuromotor, then spectral; float64. Raises ValueError as `check_motion` does."""
    motion = check_motion(deltas, mask)
    return torch.from_numpy(np.concatenate([_neuromotor(motion), band_features(motion)], axis=1)).to(deltas.device)


def kinematic_summary(features: Float[Tensor, "N F"]) -> dict[str, float]:
    """Return `{name}_mean` and `{name}_std` (over the N movements) of each column of one of the functions above."""
    known = {len(names): names for names in (NEUROMOTOR_FEATURES, SPECTRAL_FEATURES, FEATURES)}
    if features.ndim != 2 or features.shape[1] not in known or features.shape[0] < 2:
        raise ValueError(f"expected `features` to be [N >= 2, F in {sorted(known)}], but got {list(features.shape)}")
    columns = features.to(torch.float64)
    statistics = {"mean": columns.mean(dim=0).tolist(), "std": columns.std(dim=0).tolist()}
    names = known[features.shape[1]]
    return {f"{name}_{key}": values[i] for i, name in enumerate(names) for key, values in statistics.items()}


def _neuromotor(motion: Motion) -> Float[Floats, "N 15"]:
    return np.stack([feature(motion) for feature in NEUROMOTOR.values()], axis=1)


def _mean(values: Float[Floats, "N T"], valid: Bool[Booleans, "N T"]) -> Float[Floats, "N"]:
    """Return the mean over the valid entries of each row; 0 for a row without any."""
    mean: Floats = (values * valid).sum(axis=1) / np.maximum(valid.sum(axis=1), 1)
    return mean


def _share(chosen: Bool[Booleans, "N T"], valid: Bool[Booleans, "N T"]) -> Float[Floats, "N"]:
    """Return the share of the valid entries of each row that are chosen; 0 for a row without any."""
    values: Floats = (chosen & valid).sum(axis=1) / np.maximum(valid.sum(axis=1), 1)
    return values


def _std(values: Float[Floats, "N T"], valid: Bool[Booleans, "N T"]) -> Float[Floats, "N"]:
    """Return the standard deviation (of the population) over the valid entries of each row."""
    return np.sqrt(_mean(np.square(values - _mean(values, valid)[:, None]), valid))
