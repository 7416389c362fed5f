"""Properties of the smooth curves, against Bernstein polynomials, SciPy's B-splines, and via points."""

import math

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from tests.trainables.detector.bots.conditions import conditions, seeded
from trainables.core.config import ConfigError
from trainables.detector.bots.spline import (
    B_SPLINE,
    CATMULL_ROM,
    SWAY_LIMIT_PX,
    Bezier,
    ThroughVias,
    between_ends,
    bezier,
    uniform_cubic,
)

T = torch.linspace(0.0, 1.0, 101, dtype=torch.float64)


def points(rows: int, count: int) -> torch.Tensor:
    return torch.randn(rows, count, 2, generator=seeded(), dtype=torch.float64)


@pytest.mark.parametrize("degree", [2, 3, 5])
def test_a_bezier_curve_is_the_sum_of_bernstein_polynomials(degree: int) -> None:
    control = points(4, degree + 1)
    curve = bezier(control, T.expand(4, -1))
    for row in range(4):
        for i, t in enumerate(T.tolist()):
            weights = [math.comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(degree + 1)]
            expected = sum(w * control[row, k] for k, w in enumerate(weights))
            torch.testing.assert_close(curve[row, i], expected, rtol=0.0, atol=1e-12)


def test_a_bezier_curve_has_inner_points() -> None:
    with pytest.raises(ConfigError, match=r"^expected `degree >= 2`, but got 1"):
        Bezier(1)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_b_spline_is_that_of_uniform_knots(count: int) -> None:
    vias = points(3, 4)
    vias[:, count:] = torch.tensor([1.0, 0.0], dtype=torch.float64)
    control = between_ends(vias, torch.full((3, 1), count))
    curve = uniform_cubic(B_SPLINE, control, torch.full((3, 1), count + 1), T.expand(3, -1))
    for row in range(3):
        knots = np.arange(-3.0, count + 5.0)
        spline = BSpline(knots, control[row, : count + 4].numpy(), 3)
        np.testing.assert_allclose(curve[row].numpy(), spline(T.numpy() * (count + 1)), atol=1e-12)


def test_a_catmull_rom_spline_passes_through_its_via_points_at_even_parameters() -> None:
    vias, count = points(5, 4), torch.tensor([[1], [2], [3], [4], [4]])
    vias[torch.arange(4) >= count] = torch.tensor([1.0, 0.0], dtype=torch.float64)
    curve = uniform_cubic(CATMULL_ROM, between_ends(vias, count), count + 1, T.expand(5, -1))
    for row, n in enumerate(count[:, 0].tolist()):
        at = torch.arange(n + 2, dtype=torch.float64)[None] / (n + 1)
        at_points = uniform_cubic(
            CATMULL_ROM, between_ends(vias, count)[row : row + 1], count[row : row + 1] + 1, at.contiguous()
        )
        expected = torch.cat([torch.zeros(1, 2), vias[row, :n], torch.tensor([[1.0, 0.0]])]).double()
        torch.testing.assert_close(at_points[0], expected, rtol=0.0, atol=1e-12)
    assert bool(curve.isfinite().all())


@pytest.mark.parametrize("basis", [CATMULL_ROM, B_SPLINE])
def test_splines_and_their_tangents_are_continuous(basis: torch.Tensor) -> None:
    """Twice as fine a grid halves the largest change of the difference quotient; a kink would keep it."""
    vias, count = points(6, 3), torch.full((6, 1), 3)

    def largest_turn(parts: int) -> float:
        t = torch.linspace(0.0, 1.0, parts + 1, dtype=torch.float64).expand(6, -1)
        return float(
            (uniform_cubic(basis, between_ends(vias, count), count + 1, t).diff(dim=1) * parts).diff(dim=1).abs().max()
        )

    assert largest_turn(4000) < 0.55 * largest_turn(2000)


@pytest.mark.parametrize("path", [Bezier(2), Bezier(3), ThroughVias(CATMULL_ROM, 4), ThroughVias(B_SPLINE, 5)])
def test_curves_start_and_end_on_the_chord_and_bend_to_either_side(path: Bezier | ThroughVias) -> None:
    like = conditions(*[(40, (500, 0))] * 300)
    made = path(like, T.expand(300, -1), seeded())
    ends = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64).expand(300, -1, -1)
    torch.testing.assert_close(made[:, [0, -1]], ends, rtol=0.0, atol=1e-12)
    side = made[..., 1].mean(dim=1)
    assert 60 < int((side > 0).sum()) < 240
    assert 0.005 < float(made[..., 1].abs().amax(dim=1).median()) < 0.3


def test_on_long_ways_the_sway_is_limited_in_pixels() -> None:
    like = conditions(*[(60, (2400, 0))] * 300)
    bowed = Bezier(2)(like, T.expand(300, -1), seeded())[..., 1].abs().amax(dim=1) * 2400
    assert 0.5 * SWAY_LIMIT_PX - 1 < float(bowed.max()) <= 0.5 * SWAY_LIMIT_PX + 1e-6
