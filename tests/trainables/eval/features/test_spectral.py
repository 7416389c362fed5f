"""Spectral features and mean spectra against the Fourier transform in plain loops."""

import cmath
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.eval.features.kinematic import SPECTRAL_FEATURES, spectral_features, velocity_spectrum


def powers(velocity: list[float]) -> list[float]:
    """One-sided power at the frequencies k/n, k = 1 .. n // 2, of a sequence with its mean removed."""
    n, centre = len(velocity), sum(velocity) / len(velocity)
    values = []
    for k in range(1, n // 2 + 1):
        amplitude = sum((v - centre) * cmath.exp(-2j * math.pi * k * i / n) for i, v in enumerate(velocity))
        values.append(abs(amplitude) ** 2 * (1 if 2 * k == n else 2))
    return values


def shares(path: list[list[float]]) -> list[float]:
    """Share of the power of vx and vy together in each bin."""
    both = [a + b for a, b in zip(*(powers([step[c] for step in path]) for c in (0, 1)), strict=True)]
    return [p / sum(both) for p in both]


def bands(path: list[list[float]]) -> list[float]:
    """log10 of the share of each fifth of (0, Nyquist]; an upper edge belongs to its band."""
    total = [0.0] * 5
    for k, share in enumerate(shares(path), start=1):
        band = next(b for b in range(5) if 10 * k <= len(path) * (b + 1))
        total[band] += share
    return [math.log10(t + 1e-6) for t in total]


def oscillation(relative: float, n: int = 60) -> Tensor:
    """A straight movement whose speed oscillates at a frequency given as a share of Nyquist."""
    i = torch.arange(n, dtype=torch.float64)
    x = 1 / n + 0.5 / n * torch.cos(math.pi * relative * i)
    return torch.stack([x / x.sum(), 0 * x], dim=1)[None]


def test_band_features_equal_the_plain_fourier_sums(batch: tuple[Tensor, Tensor]) -> None:
    deltas, mask = batch
    values = spectral_features(deltas, mask)
    for row, d, m in zip(values.tolist(), deltas, mask, strict=True):
        assert row == pytest.approx(bands(d[m].tolist()), abs=1e-6)


@pytest.mark.parametrize("band", range(5))
def test_an_oscillation_has_its_power_in_the_band_of_its_frequency(band: int) -> None:
    deltas = oscillation((band + 0.5) / 5)
    values = spectral_features(deltas, torch.ones(1, 60, dtype=torch.bool))[0]
    assert values[band] == pytest.approx(0.0, abs=1e-5)
    assert all(v < -5 for i, v in enumerate(values.tolist()) if i != band)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_velocity_has_no_power_in_any_band(dtype: torch.dtype) -> None:
    deltas = torch.zeros(1, 30, 2, dtype=dtype)
    deltas[..., 0] = 1 / 30
    mask = torch.ones(1, 30, dtype=torch.bool)
    assert spectral_features(deltas, mask)[0].tolist() == [-6.0] * len(SPECTRAL_FEATURES)
    assert velocity_spectrum(deltas, mask, torch.linspace(0.1, 1, 10)).tolist() == [0.0] * 10


def test_the_mean_spectrum_is_the_mean_of_interpolated_densities(batch: tuple[Tensor, Tensor]) -> None:
    deltas, mask = batch
    grid = torch.linspace(0.02, 1.0, 37, dtype=torch.float64)
    expected = np.zeros(37)
    for d, m in zip(deltas, mask, strict=True):
        share = shares(d[m].tolist())
        n = int(m.sum())
        expected += np.interp(grid.numpy(), [2 * k / n for k in range(1, n // 2 + 1)], [s * n / 2 for s in share])
    np.testing.assert_allclose(velocity_spectrum(deltas, mask, grid).numpy(), expected / len(deltas), rtol=1e-9)


def test_the_mean_spectrum_peaks_at_the_frequency_of_the_oscillation() -> None:
    grid = torch.linspace(0.1, 1.0, 10)
    spectrum = velocity_spectrum(oscillation(0.6), torch.ones(1, 60, dtype=torch.bool), grid)
    assert grid[spectrum.argmax()] == pytest.approx(0.6)


@pytest.mark.parametrize("frequency", [0.0, -0.1, 1.1, math.nan])
def test_frequencies_beyond_nyquist_are_refused(frequency: float, batch: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match="Nyquist"):
        velocity_spectrum(*batch, torch.tensor([0.5, frequency]))
