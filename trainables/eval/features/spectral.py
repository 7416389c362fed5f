"""Velocity spectra of canonical movements, each taken at its true length.

The periodogram of the velocity (power of vx and vy added, mean removed) is computed without padding, so movements are
grouped by their number of steps n. Frequencies are relative to each movement's Nyquist frequency: bin k lies at 2k/n
in (0, 1]. The feature of a band is log10(its share of the power + 1e-6). A band that holds no bin (possible below 10
steps) and a motion of constant velocity, which has no power beside the mean, have a share of 0, thus a feature of -6.

The upper two bands are the high-frequency tail: at 60 Hz above 18 Hz, where tremor, corrections and the pixel grid are,
and where a generator that smooths differs.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.eval.features.motion import Floats, Motion, check_motion

BANDS = 5
TAIL_BANDS = 2
TAIL_FROM = 1 - TAIL_BANDS / BANDS  # of Nyquist
SPECTRAL_FEATURES: tuple[str, ...] = tuple(f"log_power_band_{band}" for band in range(1, BANDS + 1))
SHARE_FLOOR = 1e-6  # added to a share before the logarithm
ROUNDING_POWER = 1e-12  # of the mean squared speed: less variance than this is float32 rounding of a constant velocity


def spectral_features(deltas: Float[Tensor, "N T 2"], mask: Bool[Tensor, "N T"]) -> Float[Tensor, "N 5"]:
    """Return the columns `SPECTRAL_FEATURES`: log10(share + `SHARE_FLOOR`) of each band; float64.

    Raises ValueError as `check_motion` does.
    """
    return torch.from_numpy(band_features(check_motion(deltas, mask))).to(deltas.device)


def band_features(motion: Motion) -> Float[Floats, "N 5"]:
    """Return the columns `SPECTRAL_FEATURES` of checked movements."""
    return np.log10(_band_shares(motion) + SHARE_FLOOR)


def band_shares(deltas: Float[Tensor, "N T 2"], mask: Bool[Tensor, "N T"]) -> Float[Tensor, "N 5"]:
    """Return the share of the power in each band of equal width from 0 to the Nyquist frequency, DC left out; float64.

    Raises ValueError as `check_motion` does.
    """
    return torch.from_numpy(_band_shares(check_motion(deltas, mask))).to(deltas.device)


def _band_shares(motion: Motion) -> Float[Floats, "N 5"]:
    """Return the share of the power in each band of equal width up to the Nyquist frequency, without DC; float64."""
    shares = np.zeros((len(motion.steps), BANDS))
    for steps, rows, power in _power_shares(motion):
        bins = np.arange(1, power.shape[1] + 1)
        band = (2 * BANDS * bins - 1) // steps  # ceil(BANDS * 2k/n) - 1 in whole numbers
        shares[rows] = power @ np.eye(BANDS)[band]
    return shares


def velocity_spectra(
    deltas: Float[Tensor, "N T 2"], mask: Bool[Tensor, "N T"], frequencies: Float[Tensor, "K"]
) -> Float[Tensor, "N K"]:
    """Return the spectral density of each movement's velocity at `frequencies`, float64.

    `frequencies` are relative to Nyquist, in (0, 1]. Each movement weighs the same: its power is normalised to have the
    integral 1 over (0, 1], then interpolated linearly between its own bins and constant outside them. One without power
    (constant velocity) has zeros. Raises ValueError for other frequencies, and as `check_motion` does.
    """
    motion, grid = check_motion(deltas, mask), frequencies.detach().cpu().to(torch.float64).numpy()
    if not ((grid > 0) & (grid <= 1)).all():
        raise ValueError(f"expected `frequencies` relative to Nyquist, in (0, 1], but got {grid.tolist()}")
    density = np.zeros((len(motion.steps), len(grid)))
    for steps, rows, power in _power_shares(motion):
        bins = 2 * np.arange(1, power.shape[1] + 1) / steps
        density[rows] = [np.interp(grid, bins, one) for one in power * steps / 2]
    return torch.from_numpy(density).to(deltas.device)


def velocity_spectrum(
    deltas: Float[Tensor, "N T 2"], mask: Bool[Tensor, "N T"], frequencies: Float[Tensor, "K"]
) -> Float[Tensor, "K"]:
    """Return the mean of `velocity_spectra` over the movements."""
    return velocity_spectra(deltas, mask, frequencies).mean(dim=0)


def _power_shares(motion: Motion) -> Iterator[tuple[int, npt.NDArray[np.int64], Floats]]:
    """Yield for each distinct n: n, the rows [M] with n steps, and their shares of power [M, n // 2] in bins 1.."""
    velocity = motion.deltas * motion.rate[:, :, None]
    for n in np.unique(motion.steps).tolist():
        rows = np.flatnonzero(motion.steps == n)
        v = velocity[rows, :n]
        amplitude = np.fft.rfft(v - v.mean(axis=1, keepdims=True), axis=1)[:, 1:]
        power = (np.square(amplitude.real) + np.square(amplitude.imag)).sum(axis=2)
        power[:, : (n - 1) // 2] *= 2  # one-sided: every bin below Nyquist stands for two
        total = power.sum(axis=1, keepdims=True)
        moves = total > ROUNDING_POWER * n**2 * np.square(v).sum(axis=2).mean(axis=1, keepdims=True)
        yield n, rows, np.where(moves, power / np.where(moves, total, 1.0), 0.0)
