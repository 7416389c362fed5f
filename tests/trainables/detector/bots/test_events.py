"""Properties of observed events: a batch is observed as single recordings are."""

import numpy as np
import pytest
import torch

from tests.trainables.detector.bots.conditions import EXTREMES, conditions
from trainables.data.canonical import observe
from trainables.detector.bots.bot import chord
from trainables.detector.bots.events import PERIOD_MS, emit, observe_events, requested_steps


def timed(rows: int, events: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Uneven times (some equal, some on a tick, some far apart) and positions, some halfway between two pixels."""
    rng = np.random.default_rng(seed)
    gaps = rng.choice([0.0, 1.0, 7.5, PERIOD_MS, PERIOD_MS / 2, 40.0, 120.0], size=(rows, events - 1))
    t_ms = np.concatenate([np.zeros((rows, 1)), gaps.cumsum(axis=1)], axis=1) + 500.0 * rng.random((rows, 1))
    path = np.round(rng.normal(0.0, 40.0, size=(rows, events, 2)) * 2) / 2
    return torch.from_numpy(t_ms), torch.from_numpy(path)


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_is_observed_as_each_of_its_rows(seed: int) -> None:
    t_ms, path = timed(40, 30, seed)
    steps, length = observe_events(t_ms, path)
    for row in range(len(t_ms)):
        x, y = path[row].numpy().T
        expected = np.diff(observe(t_ms[row].numpy(), x, y), axis=0)
        assert int(length[row]) == len(expected)
        np.testing.assert_array_equal(steps[row, : len(expected)].numpy(), expected)
        assert not bool(steps[row, len(expected) :].any())


def test_sums_of_ticks_are_on_the_ticks() -> None:
    """Rounding puts some of the sums behind their tick; that makes no further step of them, and no late one."""
    gap = torch.full((1, 120), PERIOD_MS, dtype=torch.float64)
    t_ms = torch.cat([torch.zeros(1, 1, dtype=torch.float64), gap.cumsum(dim=1)], dim=1)
    assert bool((t_ms > PERIOD_MS * torch.arange(121)).any())
    for events in range(2, 122):
        path = torch.arange(events, dtype=torch.float64)[None, :, None].expand(1, -1, 2)
        steps, length = observe_events(t_ms[:, :events], path)
        assert length.tolist() == [events - 1]
        assert bool((steps == 1).all())


def test_a_repeated_last_event_changes_nothing() -> None:
    t_ms, path = timed(20, 25, 9)
    steps, length = observe_events(t_ms, path)
    t_padded = torch.cat([t_ms, t_ms[:, -1:].expand(-1, 4)], dim=1)
    padded = observe_events(t_padded, torch.cat([path, path[:, -1:].expand(-1, 4, -1)], dim=1))
    assert torch.equal(padded[0], steps)
    assert torch.equal(padded[1], length)


def test_rows_are_independent() -> None:
    t_ms, path = timed(20, 25, 4)
    steps, length = observe_events(t_ms, path)
    alone, length_alone = observe_events(t_ms[3:4], path[3:4])
    assert torch.equal(alone[0], steps[3, : int(length[3])])
    assert torch.equal(length_alone, length[3:4])


def test_events_at_the_requested_end_are_observed_as_the_requested_movement() -> None:
    like = conditions(*EXTREMES.values())
    t_ms = torch.stack([torch.zeros(len(like)), requested_steps(like) * PERIOD_MS], dim=1).double()
    movements = emit(like, t_ms, chord(torch.tensor([[0.0, 1.0]], dtype=torch.float64).expand(len(like), 2)))
    for row, (steps, net) in enumerate(EXTREMES.values()):
        assert int(movements.length[row]) == steps
        assert movements.steps_px[row, steps - 1].tolist() == list(net)
        assert int((movements.steps_px[row] != 0).any(dim=1).sum()) == 1


def test_another_duration_is_an_error() -> None:
    like = conditions((20, (100, 0)))
    with pytest.raises(AssertionError, match="a bot keeps to the requested duration"):
        emit(like, torch.tensor([[0.0, 21 * PERIOD_MS]]).double(), torch.zeros(1, 2, 2, dtype=torch.float64))
