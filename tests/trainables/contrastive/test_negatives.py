"""Negatives are never the row itself nor equal to it, all rows equally often; and the queue of past conditions."""

import math
from collections import Counter, deque
from collections.abc import Callable

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from trainables.contrastive.negatives import NEAR, SOURCES, ConditionQueue, NegativePool, derangements, differ, recalled
from trainables.core.config import ConfigError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def conditions(b: int, seed: int = 0) -> Tensor:
    return torch.randn(b, 3, generator=seeded(seed))


# within the batch


@pytest.mark.parametrize(("b", "k"), [(2, 1), (3, 2), (8, 1), (8, 7), (64, 5)])
def test_negatives_are_distinct_and_never_the_row_itself(b: int, k: int) -> None:
    for seed in range(20):
        negatives = derangements(conditions(b), k, seeded(seed))
        assert negatives.rows.shape == negatives.valid.shape == (b, k)
        for row, others in enumerate(negatives.rows.tolist()):
            assert len({row, *others}) == k + 1
            assert set(others) <= set(range(b))


def test_every_row_is_a_negative_equally_often() -> None:
    for seed in range(10):
        rows = derangements(conditions(9), 4, seeded(seed)).rows
        for column in rows.T.tolist():
            assert sorted(column) == list(range(9))


def test_every_other_row_is_as_likely_as_any() -> None:
    """Null: chi-squared p > 1e-4 (the false-failure rate) over 3,000 seeds; a cyclic shift by one is refuted."""

    def p_value(choose: Callable[[int], int]) -> float:
        counts = Counter(choose(seed) for seed in range(3000))
        return float(chisquare([counts[row] for row in (0, 1, 3, 4)]).pvalue)

    condition = conditions(5)
    assert p_value(lambda seed: int(derangements(condition, 1, seeded(seed)).rows[2, 0])) > 1e-4
    assert p_value(lambda _: 3) < 1e-4


def test_negatives_are_the_generators_alone() -> None:
    condition = conditions(8)
    one, same, other = (derangements(condition, 3, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(one.rows, same.rows)
    assert not torch.equal(one.rows, other.rows)
    changed = derangements(condition + 5.0, 3, seeded(0))
    assert torch.equal(one.rows, changed.rows)


def test_near_equal_conditions_are_no_negatives() -> None:
    condition = torch.cat([conditions(5), conditions(5) + 0.08, conditions(5) + 0.2])
    negatives = derangements(condition, 14, seeded())
    for i in range(15):
        for j, row in enumerate(negatives.rows[i].tolist()):
            squares = [float(condition[i, d] - condition[row, d]) ** 2 for d in range(3)]
            assert bool(negatives.valid[i, j]) == (math.sqrt(sum(squares) / 3) > NEAR)
    assert not bool(negatives.valid.all())
    assert bool(derangements(condition, 14, seeded(), near=0.01).valid.all())


# out of the batch and the queue


@pytest.mark.parametrize(("b", "q", "k"), [(2, 0, 1), (3, 5, 2), (8, 3, 7), (8, 100, 5)])
def test_a_recalled_row_is_distinct_and_never_the_row_itself(b: int, q: int, k: int) -> None:
    for seed in range(20):
        found = recalled(conditions(b), conditions(q, seed=1), k, seeded(seed))
        for row, others in enumerate(found.rows.tolist()):
            assert len({row, *others}) == k + 1
            assert set(others) <= set(range(b + q))


def test_constant_columns_do_not_dilute_a_difference() -> None:
    condition = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)) * 0.1
    padded = torch.cat([condition, torch.zeros(40, 2)], dim=1)
    found, expected = (differ(each, each.flip(0)[:, None]) for each in (padded, condition))
    assert torch.equal(found, expected)
    assert 0 < int(expected.sum()) < 40


def test_batch_and_queue_provide_negatives_equally_often() -> None:
    """Null: chi-squared p > 1e-4 (the false-failure rate) over 3,000 seeds; the batch alone is refuted."""

    def p_value(choose: Callable[[int], NegativePool]) -> float:
        counts = Counter(int(choose(seed).rows[1, 0]) for seed in range(3000))
        return float(chisquare([counts[row] for row in (0, 2, 3, 4, 5, 6)]).pvalue)

    batch, past = conditions(4), conditions(3, seed=1)
    assert p_value(lambda seed: recalled(batch, past, 1, seeded(seed))) > 1e-4
    assert p_value(lambda seed: derangements(batch, 1, seeded(seed))) < 1e-4


@pytest.mark.parametrize("source", list(SOURCES))
def test_near_equal_conditions_are_no_negatives_whatever_the_source(source: str) -> None:
    batch = conditions(4)
    past = torch.cat([batch + 0.08, batch + 0.2])
    pool, negatives = torch.cat([batch, past]), SOURCES[source](batch, past, 3, seeded())
    seen = set()
    for i in range(4):
        for j, row in enumerate(negatives.rows[i].tolist()):
            squares = [float(batch[i, d] - pool[row, d]) ** 2 for d in range(3)]
            assert bool(negatives.valid[i, j]) == (math.sqrt(sum(squares) / 3) > NEAR)
            seen.add(row)
    assert (max(seen) >= 4) == (source == "queue")


@pytest.mark.parametrize("source", list(SOURCES))
def test_negatives_are_the_generators_alone_whatever_the_source(source: str) -> None:
    batch, past = conditions(6), conditions(9, seed=1)
    one, same, other = (SOURCES[source](batch, past, 2, seeded(seed)).rows for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(one, SOURCES[source](batch + 5.0, past - 5.0, 2, seeded(0)).rows)


@pytest.mark.parametrize("source", list(SOURCES))
@pytest.mark.parametrize(("b", "k"), [(4, 4), (4, 9), (1, 1), (4, 0)])
def test_more_negatives_than_others_are_refused_whatever_the_source(source: str, b: int, k: int) -> None:
    """Also with a full queue: at the beginning of an epoch it is empty."""
    with pytest.raises(ConfigError, match=rf"^expected `1 <= negatives < batch_size`.*negatives={k}, batch_size={b}$"):
        SOURCES[source](conditions(b), conditions(20), k, seeded())


# the queue


@pytest.mark.parametrize("capacity", [0, 1, 5, 8, 100])
def test_the_queue_is_first_in_first_out(capacity: int) -> None:
    queue, expected = ConditionQueue.empty(capacity, 3), deque[list[float]](maxlen=capacity)
    for seed, b in enumerate((4, 4, 1, 7, 12, 3)):
        batch = conditions(b, seed)
        queue = queue.push(batch)
        expected.extend(batch.tolist())
        assert queue.rows.tolist() == list(expected)


def test_a_push_does_not_change_the_queue_before_it() -> None:
    before = ConditionQueue.empty(4, 3).push(conditions(3))
    kept = before.rows.clone()
    after = before.push(conditions(3, seed=1))
    assert torch.equal(before.rows, kept)
    assert torch.equal(after.rows[-3:], conditions(3, seed=1))


def test_a_queue_holds_no_graph() -> None:
    assert not ConditionQueue.empty(4, 3).push(conditions(3).requires_grad_() * 2).rows.requires_grad
