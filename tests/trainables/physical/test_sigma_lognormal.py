"""Properties of the sigma-lognormal model: its closed form, its ends, its clock, and the requested conditions."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import lognorm

from tests.trainables.physical.requested import REQUESTED, seeded
from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical, encode, usable
from trainables.data.config import CanonicalConfig
from trainables.physical.sigma_lognormal import CUT, SigmaLognormal, Strokes

MODEL = SigmaLognormal()


def plans(count: int = 200, seed: int = 0) -> Strokes:
    return MODEL.strokes(torch.linspace(0.13, 1.6, count, dtype=torch.float64), seeded(seed))


# the model


def test_the_path_is_the_integral_of_lognormal_speeds_along_turning_headings() -> None:
    """Velocity by its definition from SciPy's lognormal, summed over 200,000 midpoints between the cuts."""
    strokes, n = plans(12), 200_000
    t = (np.arange(n) + 0.5) / n
    checked = torch.linspace(0.0, 1.0, 11, dtype=torch.float64)
    closed = strokes.position(checked.expand(12, -1))
    for row in range(12):
        velocity = np.zeros((n, 2))
        for k in range(strokes.distance.shape[1]):
            d, t0, mu, sigma, start, end = (float(getattr(strokes, name)[row, k]) for name in names())
            law = lognorm(s=sigma, scale=math.exp(mu))
            low, high = law.cdf([math.exp(mu - CUT * sigma), math.exp(mu + CUT * sigma)])
            inside = np.abs(np.log(np.maximum(t - t0, 1e-300)) - mu) <= CUT * sigma
            speed = d * np.where(inside, law.pdf(t - t0), 0.0) / (high - low)
            heading = start + (end - start) * np.clip((law.cdf(t - t0) - low) / (high - low), 0.0, 1.0)
            velocity += speed[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        path = np.concatenate([np.zeros((1, 2)), velocity.cumsum(axis=0) / n])
        np.testing.assert_allclose(closed[row].numpy(), path[:: n // 10], atol=2e-4)


def names() -> tuple[str, ...]:
    return ("distance", "t0", "mu", "sigma", "theta_start", "theta_end")


def test_movements_start_at_the_origin_and_end_on_the_target() -> None:
    ends = plans().position(torch.tensor([[0.0, 1.0]], dtype=torch.float64).expand(200, -1))
    expected = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64).expand(200, -1, -1)
    torch.testing.assert_close(ends, expected, rtol=0.0, atol=1e-12)


def test_strokes_without_a_turn_are_straight() -> None:
    straight = replace(MODEL, turn_rad=0.0, endpoint_noise=0.0)
    share = torch.linspace(0.0, 1.0, 30, dtype=torch.float64).expand(50, -1)
    for model, expected in ((straight, True), (MODEL, False)):
        path = model.strokes(torch.full((50,), 0.8, dtype=torch.float64), seeded()).position(share)
        assert (float(path[..., 1].abs().max()) < 1e-12) == expected


def test_time_scales_with_mu_and_t0_alone() -> None:
    """A movement c times as long has mu + ln c and c t0."""
    plan, c = plans(20), 3.7
    slow = replace(plan, mu=plan.mu + math.log(c), t0=c * plan.t0)
    share = torch.linspace(0.0, 1.0, 40, dtype=torch.float64).expand(20, -1)
    torch.testing.assert_close(slow.position(c * share), plan.position(share), rtol=0.0, atol=1e-9)


def test_a_stroke_lies_between_its_cuts_and_within_the_movement() -> None:
    plan = plans()
    made = plan.distance > 0
    start, end = (plan.t0 + (plan.mu + side * CUT * plan.sigma).exp() for side in (-1, 1))
    assert float(start[made].min()) > -1e-9
    assert float(end[made].max()) < 1 + 1e-9
    low, high = MODEL.sigma
    assert low <= float(plan.sigma.min()) <= float(plan.sigma.max()) <= high


def test_each_stroke_begins_while_the_one_before_is_under_way() -> None:
    plan = plans()
    start, end = (plan.t0 + (plan.mu + side * CUT * plan.sigma).exp() for side in (-1, 1))
    later = plan.distance[:, 1:] > 0
    assert bool((start[:, 1:] < end[:, :-1])[later].all())
    assert bool((start[:, 1:] > start[:, :-1])[later].all())


def test_long_movements_have_more_strokes() -> None:
    for duration_s, few, many in ((0.15, 1.0, 1.2), (1.6, 2.5, 4.0)):
        plan = MODEL.strokes(torch.full((300,), duration_s, dtype=torch.float64), seeded())
        assert few <= float((plan.distance > 0).double().sum(dim=1).mean()) <= many


def test_speeds_rise_faster_than_they_fall() -> None:
    """Of a single stroke the peak comes before the middle; the more so, the larger sigma is."""
    share = torch.linspace(0.0, 1.0, 1001, dtype=torch.float64).expand(40, -1)
    peaks = []
    for sigma in (0.1, 0.4):
        model = replace(MODEL, most_strokes=1, sigma=(sigma, sigma))
        speed = model.strokes(torch.full((40,), 0.5, dtype=torch.float64), seeded()).position(share).diff(dim=1)
        peaks.append(float(speed.norm(dim=-1).argmax(dim=1).double().mean()) / 1000)
    assert peaks[1] < peaks[0] < 0.5


# requested conditions


@pytest.mark.parametrize("seed", range(3))
def test_movements_end_at_the_requested_point(seed: int) -> None:
    net = MODEL(REQUESTED, seeded(seed)).steps_px.sum(dim=1)
    expected = torch.view_as_real(torch.polar(REQUESTED.distance_px, REQUESTED.angle))
    assert bool(((net - expected).abs() <= 0.5 + 1e-9).all())


def test_movements_have_the_requested_duration_in_whole_pixels_and_keep_their_group() -> None:
    movements = MODEL(REQUESTED, seeded())
    assert movements.length.tolist() == [8, 20, 64, 33, 33]
    assert (movements.group, movements.source) == (REQUESTED.group, REQUESTED.source)
    assert torch.equal(movements.steps_px, movements.steps_px.round())
    for steps, length in zip(movements.steps_px, movements.length.tolist(), strict=True):
        assert not bool(steps[length:].any())


def test_the_generator_decides() -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, same, other = (MODEL(REQUESTED, seeded(seed)).steps_px for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_movements_of_the_real_conditions_are_lost(real: Canonical) -> None:
    movements = MODEL(real, seeded())
    rows, dropped = usable(movements, CanonicalConfig())
    assert len(rows) == len(real)
    assert not any(dropped.values())
    canonical = encode(movements, CanonicalConfig())
    torch.testing.assert_close(canonical.distance_px, real.distance_px, rtol=0.0, atol=1e-9)
    assert torch.equal(canonical.duration_s, real.duration_s)


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        ({"most_strokes": 0}, "`most_strokes >= 1`"),
        ({"sigma": (0.4, 0.1)}, "`0 < low <= high < 2` of sigma"),
        ({"seconds_per_stroke": (0.0, 0.5)}, "`0 < low <= high < inf` of seconds_per_stroke"),
        ({"overlap": (0.2, 1.0)}, "`0 < low <= high < 1` of overlap"),
        ({"undershoot": (0.0, 1.0)}, "`low <= high < 1` of undershoot"),
        ({"endpoint_noise": -0.1}, "`endpoint_noise >= 0`"),
        ({"turn_rad": 1.5}, "`0 <= turn_rad <= 1`"),
    ],
)
def test_parameters_that_break_a_law_are_refused(wrong: dict[str, float | int | tuple[float, float]], law: str) -> None:
    with pytest.raises(ConfigError) as error:
        replace(MODEL, **wrong)  # type: ignore[arg-type]
    assert str(error.value).startswith(f"expected {law}, but got ")
