"""Properties of emitted movements: the requested duration and displacement, from events as a page receives them."""

import numpy as np
import pytest
import torch

from tests.trainables.detector.bots.conditions import EXTREMES, conditions
from trainables.data.observation import PERIOD_MS, Events, observe
from trainables.detector.bots.bot import chord
from trainables.detector.bots.events import emit, requested_steps


def test_a_row_is_observed_as_a_recording_of_its_events() -> None:
    like = conditions(*[(20, (100, 0))] * 30)
    random = np.random.default_rng(9)
    shares = np.sort(random.random((30, 18)), axis=1)
    t_ms = np.concatenate([np.zeros((30, 1)), shares, np.ones((30, 1))], axis=1) * 20 * PERIOD_MS
    path = np.concatenate([np.sort(random.random((30, 19)), axis=1), np.ones((30, 1))], axis=1)
    emitted = emit(like, torch.from_numpy(t_ms), chord(torch.from_numpy(path)))
    for row in range(30):
        [expected] = observe([Events(t_ms[row], np.stack([100 * path[row], np.zeros(20)], axis=1))])
        np.testing.assert_array_equal(emitted.steps_px[row, :20].numpy(), np.diff(expected, axis=0))


def test_a_repeated_last_event_changes_nothing() -> None:
    like = conditions((20, (100, 0)))
    t_ms = torch.linspace(0, 20 * PERIOD_MS, 25, dtype=torch.float64)[None]
    path = chord(torch.linspace(0, 1, 25, dtype=torch.float64)[None] ** 2)
    padded = emit(
        like,
        torch.cat([t_ms, t_ms[:, -1:].expand(-1, 4)], dim=1),
        torch.cat([path, path[:, -1:].expand(-1, 4, -1)], dim=1),
    )
    assert torch.equal(padded.steps_px, emit(like, t_ms, path).steps_px)


def test_events_at_the_requested_end_are_observed_as_the_requested_movement() -> None:
    """A script that waits and then sets the end is seen to leap, within three steps."""
    like = conditions(*EXTREMES.values())
    t_ms = torch.stack([torch.zeros(len(like)), requested_steps(like) * PERIOD_MS], dim=1).double()
    movements = emit(like, t_ms, chord(torch.tensor([[0.0, 1.0]], dtype=torch.float64).expand(len(like), 2)))
    for row, (steps, net) in enumerate(EXTREMES.values()):
        assert int(movements.length[row]) == steps
        assert movements.steps_px[row].sum(dim=0).tolist() == list(net)
        assert not bool(movements.steps_px[row, : steps - 3].any())


def test_another_duration_is_an_error() -> None:
    like = conditions((20, (100, 0)))
    with pytest.raises(AssertionError, match="a bot keeps to the requested duration"):
        emit(like, torch.tensor([[0.0, 21 * PERIOD_MS]]).double(), torch.zeros(1, 2, 2, dtype=torch.float64))
