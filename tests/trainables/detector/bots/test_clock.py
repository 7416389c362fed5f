"""Properties of a bot's clock: the requested duration, its rests, and sleeps of at least the interval."""

import pytest
import torch

from tests.trainables.detector.bots.conditions import conditions, seeded
from trainables.data.observation import PERIOD_MS
from trainables.detector.bots.clock import (
    INTERVAL_MS,
    LEAD,
    OVERSHOOT,
    SLOW,
    STALL,
    TAIL,
    Rests,
    draw_clock,
    draw_duration_ms,
    draw_rests,
    draw_times,
    no_rests,
)
from trainables.detector.bots.events import requested_steps

LIKE = conditions(*[(steps, (300, 0)) for steps in (8, 20, 41, 64)] * 100)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_a_duration_is_nearest_to_the_requested_number_of_steps() -> None:
    steps = draw_duration_ms(LIKE, seeded())[:, 0] / PERIOD_MS
    requested = requested_steps(LIKE)
    assert bool(((steps - requested).abs() < 0.5).all())
    assert float((requested - steps).std()) == pytest.approx(12**-0.5, rel=0.1)


def test_a_clock_runs_from_start_to_end_and_never_back() -> None:
    clock = draw_clock(LIKE, seeded())
    for values in clock:
        assert bool((values[:, 0] == 0).all())
        assert bool((values.diff(dim=1) >= 0).all())
    assert bool((clock.progress[:, -1] == 1).all())
    assert torch.equal((clock.t_ms[:, -1] / PERIOD_MS).round().long(), requested_steps(LIKE))


def test_sleeps_are_at_least_the_interval_and_late_by_the_stated_share() -> None:
    """Over 400 bots the mean lateness is half of its largest mean; its s.d. is 0.006, the bound five of them."""
    duration_ms = torch.full((400, 1), 2000.0, dtype=torch.float64)
    gaps = [row[row > 0] for row in draw_times(duration_ms, seeded()).diff(dim=1)]
    shortest = torch.stack([gap[:-1].min() for gap in gaps])  # the last one is cut off by the end
    assert float(shortest.min()) >= INTERVAL_MS[0] - 1e-9
    assert float(shortest.max()) <= 1.2 * SLOW[1][1]
    late = torch.stack([gap[:-1].mean() / gap[:-1].min() - 1 for gap in gaps])
    assert float(late.mean()) == pytest.approx(sum(OVERSHOOT) / 2, abs=0.03)


def test_a_bot_is_still_while_it_rests_and_moves_evenly_otherwise() -> None:
    rests = Rests(column(0.1), column(0.2), column(0.1), column(0.5))
    tau = torch.tensor([[0.0, 0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95, 1.0]], dtype=torch.float64)
    expected = [0.0, 0.0, 0.0, 0.25, 0.5, 0.5, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert rests.progress(tau)[0].tolist() == pytest.approx(expected)


def test_the_time_of_a_progress_is_its_inverse() -> None:
    rests = draw_rests(200, seeded())
    progress = torch.linspace(0.0, 1.0, 97, dtype=torch.float64).expand(200, -1)
    torch.testing.assert_close(rests.progress(rests.time(progress)), progress, rtol=0.0, atol=1e-12)
    assert bool((rests.time(progress).diff(dim=1) > 0).all())


def test_rests_are_as_frequent_and_as_long_as_stated() -> None:
    """4,000 bots: the s.d. of a share is at most 0.008, the bound five of them."""
    rests = draw_rests(4000, seeded())
    for drawn, (probability, (_, longest)) in ((rests.lead, LEAD), (rests.stall, STALL), (rests.tail, TAIL)):
        assert float((drawn > 0).double().mean()) == pytest.approx(probability, abs=0.04)
        assert float(drawn.max()) == pytest.approx(longest, rel=0.02)
    assert float(rests.moving.min()) > 0.5


def test_without_rests_progress_is_the_share_of_the_time() -> None:
    tau = torch.linspace(0.0, 1.0, 33, dtype=torch.float64).expand(3, -1)
    assert torch.equal(no_rests(3, seeded()).progress(tau), tau)
