"""The benchmark of co-training: seconds are divided among parts without a rest that is counted twice."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.cotraining import (
    CHECKPOINT,
    EVALUATION,
    PARTS,
    REST,
    SAMPLING,
    TRAINING,
    Clock,
    overhead_share,
    parts_timed,
    spent_in_cycles,
    table,
)
from tests.trainables.cotraining.tiny import TINY, few_everywhere
from trainables.data.splits.data_splits import DataSplits


def test_a_part_is_counted_without_the_parts_that_it_calls() -> None:
    ticks = itertools.count()
    clock = Clock(now=lambda: float(next(ticks)))
    clock.start()  # 0
    sample = clock.timed(SAMPLING, lambda: None)
    clock.timed(EVALUATION, lambda: (sample(), sample()))()  # 1, [2, 3], [4, 5], 6
    clock.credit()  # 7
    assert clock.spent_s == {REST: 2.0, EVALUATION: 3.0, SAMPLING: 2.0}


def test_a_part_that_fails_ends() -> None:
    clock = Clock(now=itertools.count().__next__)
    with pytest.raises(ZeroDivisionError), clock.of(TRAINING):
        1 / 0  # noqa: B018
    clock.credit()
    assert clock.spent_s == {REST: 1, TRAINING: 1}


def test_every_part_is_there_and_put_back() -> None:
    before = [getattr(owner, name) for _, owner, name in PARTS]
    with parts_timed(Clock()):
        assert all(getattr(owner, name) != found for (_, owner, name), found in zip(PARTS, before, strict=True))
    assert [getattr(owner, name) for _, owner, name in PARTS] == before


@pytest.fixture
def few() -> Iterator[DataSplits]:
    yield from few_everywhere()


@pytest.mark.usefixtures("few")
def test_the_epochs_of_all_cycles_are_divided_among_the_parts() -> None:
    config = replace(TINY, epochs=4, epochs_per_cycle=1)
    spent_s, cycles = spent_in_cycles(config)
    assert cycles == 1
    assert set(spent_s) == {TRAINING, SAMPLING, EVALUATION, CHECKPOINT, REST}
    assert all(found > 0 for found in spent_s.values())


def test_the_table_shows_seconds_of_a_cycle_and_shares() -> None:
    spent_s = {TRAINING: 6.0, SAMPLING: 2.0, EVALUATION: 1.0, CHECKPOINT: 0.25, REST: 0.75}
    assert overhead_share(spent_s) == 0.1
    lines = table(spent_s, 2).splitlines()
    assert lines[1].split() == ["training", "3.00", "60.00%"]
    assert lines[-1] == "overhead: 10.00%"
