"""The field's probe as a benchmark: the known defects at the recorder's rate, and which movements meet which."""

import numpy as np
import pytest
import torch

from benchmarks.field_probe import (
    RATES,
    Recorded,
    evaluated_and_others,
    longer_events,
    matched,
    noisy_events,
    of_one_split,
    recorded,
)
from trainables.data.observation import Events
from trainables.data.readers.recordings import read_recordings


@pytest.fixture(scope="module")
def source() -> Recorded:
    return recorded(read_recordings("cursory").recordings[::4])


def test_noise_is_a_share_of_the_spread_of_the_steps_in_whole_pixels(source: Recorded) -> None:
    noisy = noisy_events(source.events, 0.1, np.random.default_rng(0))
    steps, moved = (np.concatenate([np.diff(one.xy_px, axis=0) for one in side]) for side in (source.events, noisy))
    assert np.array_equal(moved, moved.round())
    assert (moved - steps).std() == pytest.approx(0.1 * steps.std(), rel=0.05)
    for before, after in zip(source.events, noisy, strict=True):
        assert np.array_equal(before.t_ms, after.t_ms)
        assert np.array_equal(before.xy_px[0], after.xy_px[0])
    unmoved = noisy_events(source.events[:1], 0.0, np.random.default_rng(0))[0]
    assert np.array_equal(unmoved.xy_px, source.events[0].xy_px)


def test_a_longer_movement_has_the_same_positions_at_later_whole_milliseconds() -> None:
    [longer] = longer_events([Events(np.array([0.0, 10, 30, 100]), np.zeros((4, 2)))], 0.05)
    assert longer.t_ms.tolist() == [0.0, 10.0, 32.0, 105.0]


def test_evaluated_users_and_others_are_all_users_and_none_is_both(source: Recorded) -> None:
    users, others = evaluated_and_others(source, source.movements.group, np.random.default_rng(0))
    first, rest = set(users.movements.group), set(others.movements.group)
    assert not first & rest
    assert first | rest == set(source.movements.group)
    assert len(users.movements) + len(others.movements) == len(source.movements)
    assert len(first) == len(first | rest) // 4


def test_both_rates_are_of_the_same_movements(source: Recorded) -> None:
    for events, length in zip(source.events, source.movements.length.tolist(), strict=True):
        assert events.t_ms[-1] == pytest.approx(1000 * length / 60, abs=9)
    taken = source.take(torch.tensor([7, 3]))
    assert taken.events == (source.events[7], source.events[3])
    assert taken.movements.length.tolist() == source.movements.length[[7, 3]].tolist()


def test_matched_movements_are_different_ones_of_like_duration(source: Recorded) -> None:
    parts = evaluated_and_others(source, [str(row) for row in range(len(source.movements))], np.random.default_rng(0))
    evaluated, others = matched(*parts, 40)
    assert len(evaluated.movements) == len(others.movements) == 40
    assert len({id(events) for events in (*evaluated.events, *others.events)}) == 80
    away = (evaluated.movements.length / others.movements.length).log().abs()
    assert float(away.median()) < 0.1


# Halves of 2 x 60 rows: an AUC of about 0.5 with a standard deviation of 0.065; the bound is four of them.
def test_one_split_reads_halves_about_one_half_and_noise_well_above_the_floor(source: Recorded) -> None:
    found, effective = of_one_split(source, 0, 60)
    assert list(found) == ["halves", "same users", "other users", "noise 0.1 s.d.", "stretch 5 %"]
    assert 1 < effective <= len(set(source.movements.group)) // 4
    for rate in RATES:
        assert abs(found["halves"][rate].auc - 0.5) < 0.26
        assert found["noise 0.1 s.d."][rate].auc > max(0.8, found["other users"][rate].auc)
