"""Properties of the noisy bots: gradient noise against plain loops, the autoregression, and rests without noise."""

import math

import pytest
import torch

from tests.trainables.detector.bots.conditions import conditions, seeded
from trainables.detector.bots.noise import autoregression, gaussian, gradient_noise, perlin, while_moving

U = torch.linspace(0.0, 1.0, 61, dtype=torch.float64)


def test_gradient_noise_is_the_fade_between_two_lines() -> None:
    gradients = 2 * torch.rand(3, 9, generator=seeded(), dtype=torch.float64) - 1
    at = 7.0 * torch.rand(3, 200, generator=seeded(1), dtype=torch.float64)
    made = gradient_noise(at, gradients)
    for row in range(3):
        for x, value in zip(at[row].tolist(), made[row].tolist(), strict=True):
            cell = math.floor(x)
            s = x - cell
            fade = 6 * s**5 - 15 * s**4 + 10 * s**3
            left, right = float(gradients[row, cell]) * s, float(gradients[row, cell + 1]) * (s - 1)
            assert value == pytest.approx(left + fade * (right - left), abs=1e-12)


def test_gradient_noise_is_zero_with_the_stated_slope_at_integers() -> None:
    gradients = torch.tensor([[0.3, -0.8, 0.5, 0.1]], dtype=torch.float64)
    whole = torch.tensor([[0.0, 1.0, 2.0]], dtype=torch.float64)
    assert gradient_noise(whole, gradients).tolist() == [[0.0, 0.0, 0.0]]
    slope = gradient_noise(whole + 1e-6, gradients) / 1e-6
    torch.testing.assert_close(slope, gradients[:, :3], rtol=0.0, atol=1e-5)


def test_the_noise_has_unit_variance_and_the_stated_memory() -> None:
    """4,000 rows: s.d. of variance and correlation 0.022 and 0.016; 5 s.d. fail falsely at 6e-7 a check."""
    for keep in (0.0, 0.5, 0.9):
        noise = autoregression(torch.full((4000, 1), keep, dtype=torch.float64), 20, seeded())
        for event in (0, 1, 19):
            assert float(noise[:, event].var(dim=0)[0]) == pytest.approx(1.0, abs=0.11)
        for event in (1, 19):
            pair = torch.stack([noise[:, event - 1, 1], noise[:, event, 1]])
            assert float(torch.corrcoef(pair)[0, 1]) == pytest.approx(keep, abs=0.08)


def test_noise_is_constant_while_nothing_moves() -> None:
    noise = torch.arange(1.0, 7.0, dtype=torch.float64)[None, :, None].expand(1, 6, 2)
    moves = torch.tensor([[False, True, False, False, True]])
    assert while_moving(noise, moves)[0, :, 0].tolist() == [0.0, 0.0, 3.0, 3.0, 3.0, 6.0]


@pytest.mark.parametrize("path", [perlin, gaussian])
def test_a_noisy_bot_starts_and_ends_exactly_and_keeps_its_rests(path: object) -> None:
    like = conditions(*[(40, (300, 100))] * 100)
    progress = torch.cat([torch.zeros(5).double(), U[:30], U[30].expand(10), U[31:], torch.ones(5).double()])
    made = path(like, progress.expand(100, -1), seeded())  # type: ignore[operator]
    ends = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64).expand(100, -1, -1)
    for part, at in ((made[:, :6], ends[:, :1]), (made[:, -6:], ends[:, 1:])):
        torch.testing.assert_close(part, at.expand_as(part), rtol=0.0, atol=1e-12)
    stalled = made[:, 35:45]
    assert torch.equal(stalled, stalled[:, :1].expand_as(stalled))
    assert bool((made[..., 1].abs().amax(dim=1) > 0).all())


def test_gaussian_noise_is_of_the_stated_size_in_pixels() -> None:
    like = conditions(*[(40, (300, 100))] * 2000)
    across_px = gaussian(like, U.expand(2000, -1), seeded())[:, 5:-5, 1] * like.distance_px[:, None]
    assert float(across_px.std(dim=1).quantile(0.02)) > 0.3
    assert 20.0 < float(across_px.std(dim=1).quantile(0.98)) < 40.0


def test_perlin_noise_is_smooth_where_gaussian_noise_is_not() -> None:
    """Correlation of the shift across the chord over neighbouring events, of a fine clock."""
    like = conditions(*[(40, (300, 100))] * 200)
    fine = torch.linspace(0.02, 0.98, 400, dtype=torch.float64).expand(200, -1)
    for path, smooth in ((perlin, True), (gaussian, False)):
        across = path(like, fine, seeded())[..., 1]
        turns = (across.diff(dim=1).sign().diff(dim=1) != 0).double().mean(dim=1)
        assert (float(turns.median()) < 0.1) == smooth
