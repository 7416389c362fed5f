"""Choice of movements to show: spread over users, the same however they come, and few in memory."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.trainables.data.inspection.takes_of import recordings
from trainables.data.inspection.choice import SHOWN, MovementChoice
from trainables.data.readers.recording_set import Recording


def chosen(rows: list[Recording], seed: int = 0) -> tuple[Recording, ...]:
    choice = MovementChoice(seed)
    for one in rows:
        choice.add([one])
    return choice.chosen()


@pytest.mark.parametrize(("users", "movements"), [(1, 3), (1, 40), (3, 20), (7, 2), (20, 1), (50, 3)])
def test_up_to_twenty_movements_are_spread_evenly_over_users(users: int, movements: int) -> None:
    found = chosen(recordings(users, movements))
    assert len(found) == len({id(one) for one in found}) == min(SHOWN, users * movements)
    counts = Counter(one.user for one in found).values()
    assert len(counts) == min(users, SHOWN)
    assert max(counts) - min(counts) <= 1


def test_the_order_of_users_changes_nothing_and_the_seed_does() -> None:
    rows = recordings(users=50, movements=1)
    mixed = random.Random(0).sample(rows, len(rows))
    assert [one.user for one in chosen(mixed)] == [one.user for one in chosen(rows)]
    assert [one.user for one in chosen(rows, seed=1)] != [one.user for one in chosen(rows)]


def test_every_user_is_chosen_about_equally_often() -> None:
    """Of 40 users 20 are shown: over 200 seeds each about 100 times; 60 is over five standard deviations off."""
    rows = recordings(users=40, movements=1)
    counts = Counter(one.user for seed in range(200) for one in chosen(rows, seed))
    assert len(counts) == 40
    assert all(60 < count < 140 for count in counts.values())


def test_few_movements_are_in_memory_and_nothing_that_was_read_with_them() -> None:
    choice = MovementChoice()
    for seed in range(10):
        choice.add(map(within_others, recordings(users=30, movements=20, source=f"lab{seed}", seed=seed)))
    assert len(choice._of) == SHOWN
    kept = [one for its in choice._of.values() for *_, one in its]
    assert len(kept) <= SHOWN**2
    assert all(values.base is None for one in kept for values in (one.t_ms, one.x, one.y))


def within_others(one: Recording) -> Recording:
    """Return a recording whose arrays are parts of larger ones, as readers give them."""
    t_ms, x, y = (np.append(values, np.zeros(100))[: len(values)] for values in (one.t_ms, one.x, one.y))
    return replace(one, t_ms=t_ms, x=x, y=y)
