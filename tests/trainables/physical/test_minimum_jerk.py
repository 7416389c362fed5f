"""The generator from motor control: its profile, the requested conditions, and similarity to human movements."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jvp

from tests.trainables.physical.requested import REQUESTED, requested, seeded
from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical, Movements, encode, usable
from trainables.data.config import CanonicalConfig
from trainables.physical.minimum_jerk import MinimumJerk, correlated_noise, minimum_jerk

QUIET = MinimumJerk(submovements=1, endpoint_noise=0.0, motor_noise=0.0, tremor_px_s=0.0)


def derivatives(tau: Tensor, order: int) -> Tensor:
    """The `order`-th derivative of the profile, by automatic differentiation."""
    function = minimum_jerk
    for _ in range(order):
        function = (lambda inner: lambda x: jvp(inner, x, torch.ones_like(x), create_graph=True)[1])(function)
    return function(tau).detach()


def efficiency(movements: Movements) -> Tensor:
    canonical = encode(movements, CanonicalConfig(sequence_length=int(movements.length.max())))
    return 1.0 / canonical.condition()[:, 2].exp()


# the profile


def test_the_profile_rises_from_0_to_1_and_is_symmetric() -> None:
    tau = torch.linspace(0.0, 1.0, 1001, dtype=torch.float64)
    s = minimum_jerk(tau)
    assert (float(s[0]), float(s[-1])) == (0.0, 1.0)
    torch.testing.assert_close(s + s.flip(0), torch.ones_like(s), rtol=0.0, atol=1e-14)
    assert bool((s.diff() > 0).all())


def test_the_profile_starts_and_ends_at_rest() -> None:
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for order in (1, 2):
        torch.testing.assert_close(derivatives(ends, order), torch.zeros(2).double(), rtol=0.0, atol=1e-12)


def test_no_profile_between_the_same_ends_has_less_jerk() -> None:
    """Its integral of squared jerk is 720, and any variation that keeps position, speed and acceleration adds to it."""
    tau = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    jerk = derivatives(tau, 3)
    assert float(jerk.square().mean()) == pytest.approx(720.0, rel=1e-6)
    variation = 6 - 72 * tau + 180 * tau**2 - 120 * tau**3  # third derivative of tau^3 (1 - tau)^3
    for size in (-1.0, -0.01, 0.01, 1.0):
        assert float((jerk + size * variation).square().mean()) > 720.0


# requested conditions


@pytest.mark.parametrize("seed", range(3))
def test_movements_end_at_the_requested_point(seed: int) -> None:
    """Each coordinate is rounded once, to within half a pixel."""
    net = MinimumJerk()(REQUESTED, seeded(seed)).steps_px.sum(dim=1)
    expected = torch.polar(REQUESTED.distance_px, REQUESTED.angle)
    assert bool(((net - torch.view_as_real(expected)).abs() <= 0.5 + 1e-9).all())


def test_movements_have_the_requested_duration_and_keep_their_group() -> None:
    movements = MinimumJerk()(REQUESTED, seeded())
    assert len(movements) == len(REQUESTED)
    assert movements.length.tolist() == [8, 20, 64, 33, 33]
    assert (movements.group, movements.source) == (REQUESTED.group, REQUESTED.source)
    for steps, length in zip(movements.steps_px, movements.length.tolist(), strict=True):
        assert not bool(steps[length:].any())


def test_steps_are_whole_pixels() -> None:
    steps = MinimumJerk()(REQUESTED, seeded()).steps_px
    assert bool(torch.isfinite(steps).all())
    assert torch.equal(steps, steps.round())


def test_the_generator_decides() -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, same, other = (MinimumJerk()(REQUESTED, seeded(seed)).steps_px for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_movements_of_the_real_conditions_are_lost(real: Canonical) -> None:
    movements = MinimumJerk()(real, seeded())
    rows, dropped = usable(movements, CanonicalConfig())
    assert len(rows) == len(real)
    assert not any(dropped.values())
    canonical = encode(movements, CanonicalConfig())
    torch.testing.assert_close(canonical.distance_px, real.distance_px, rtol=0.0, atol=1e-9)
    torch.testing.assert_close(canonical.duration_s, real.duration_s)


def test_without_noise_a_movement_is_the_rounded_profile() -> None:
    movements = QUIET(REQUESTED, seeded())
    for i, length in enumerate(movements.length.tolist()):
        distance, angle = float(REQUESTED.distance_px[i]), float(REQUESTED.angle[i])
        x = y = 0
        for step in range(length):
            s = float(minimum_jerk(torch.tensor((step + 1) / length, dtype=torch.float64)))
            x_next, y_next = round(distance * s * math.cos(angle)), round(distance * s * math.sin(angle))
            assert movements.steps_px[i, step].tolist() == [x_next - x, y_next - y]
            x, y = x_next, y_next


def test_motor_noise_grows_with_speed() -> None:
    """Null: without motor noise all seeds agree. Alternative: with it they spread, most where the profile is fast."""
    like = requested([60], [3000.0], [0.0])
    noisy = replace(QUIET, motor_noise=0.2)
    spread = []
    for generator in (QUIET, noisy):
        steps = torch.stack([generator(like, seeded(seed)).steps_px[0] for seed in range(100)])
        spread.append(steps.std(dim=0).norm(dim=-1))
    assert not bool(spread[0].any())
    assert float(spread[1][25:35].mean()) > 2 * float(torch.cat([spread[1][:10], spread[1][50:]]).mean()) > 0


# noise


def test_noise_has_unit_variance_and_the_stated_correlation() -> None:
    """4,000 rows: variance and lag-1 correlation have s.d. 0.022 and 0.016; 5 s.d. fail falsely at 6e-7 a check."""
    for relaxation in (0.1, 0.5, 1.0):
        noise = correlated_noise(torch.empty(4000, 30, 2), relaxation, seeded())[..., 0]
        for step in (0, 1, 29):
            assert float(noise[:, step].var()) == pytest.approx(1.0, abs=0.11)
        for step in (1, 29):
            pair = torch.stack([noise[:, step - 1], noise[:, step]])
            assert float(torch.corrcoef(pair)[0, 1]) == pytest.approx(1.0 - relaxation, abs=0.08)


def test_axes_and_rows_of_the_noise_are_independent() -> None:
    """Bound 5 / sqrt(12000): false failure 6e-7 for independent values; neighbouring steps do exceed it."""
    noise = correlated_noise(torch.empty(400, 30, 2), 0.2, seeded())
    last = correlated_noise(torch.empty(24_000, 2, 2), 0.2, seeded())[:, -1]
    bound = 5 / 12_000**0.5
    for pair in (last.T, last[:, 0].view(2, -1)):
        assert abs(float(torch.corrcoef(pair)[0, 1])) < bound
    neighbours = torch.stack([noise[:, 1:, 0].flatten(), noise[:, :-1, 0].flatten()])
    assert float(torch.corrcoef(neighbours)[0, 1]) > bound


# likeness


def test_paths_are_about_as_straight_as_peoples(real: Canonical) -> None:
    """Median and 5 % quantile of the path efficiency over 1,166 movements; human ones have 0.94 and 0.53.

    A loose similarity, fixed by the seed: neither straight lines nor a random walk of twenty times the tremor have it.
    """
    human = 1.0 / real.condition()[:, 2].exp()

    def alike(movements: Movements) -> bool:
        found = efficiency(movements)
        low, median = found.quantile(0.05), found.median()
        return bool(abs(median - human.median()) < 0.04 and human.quantile(0.01) < low < human.quantile(0.45))

    assert alike(MinimumJerk()(real, seeded()))
    assert not alike(QUIET(real, seeded()))
    assert not alike(MinimumJerk(tremor_px_s=240.0)(real, seeded()))


def test_corrections_leave_their_trace_on_the_way() -> None:
    """More sub-movements with more endpoint noise bend the path; a single one without noise is straight."""
    like = requested([60] * 200, [600.0] * 200, [0.4] * 200)
    bent = replace(QUIET, submovements=3, endpoint_noise=0.2)
    assert float(efficiency(QUIET(like, seeded())).median()) > 0.99
    assert float(efficiency(bent(like, seeded())).median()) < 0.99


@pytest.mark.parametrize("name", ["endpoint_noise", "motor_noise", "noise_time_s", "tremor_px_s"])
def test_a_negative_amount_of_noise_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^expected `{name} >= 0`, but got -0.1"):
        MinimumJerk(**{name: -0.1})  # type: ignore[arg-type]


def test_a_movement_has_a_submovement() -> None:
    with pytest.raises(ConfigError, match=r"^expected `submovements >= 1`"):
        MinimumJerk(submovements=0)
