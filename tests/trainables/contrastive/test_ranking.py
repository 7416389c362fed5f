"""Laws of the ranking loss and of its negatives."""

import math
from collections import Counter
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare
from torch import Tensor

from trainables.config import ConfigError
from trainables.contrastive.ranking import (
    NEAR,
    RANKING_LOSSES,
    Negatives,
    derangements,
    infonce,
    ranking_accuracy,
    squared_distance,
)

losses = pytest.mark.parametrize("name", list(RANKING_LOSSES))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distances(b: int = 7, k: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Positive and negative distances and which of the negatives count; one row has none."""
    random = seeded(seed)
    positive, negative = torch.rand(b, generator=random).double(), torch.rand(b, k, generator=random).double() * 1.5
    valid = torch.rand(b, k, generator=random) < 0.7
    valid[0], valid[1] = True, False
    return positive, negative, valid


def conditions(b: int, seed: int = 0) -> Tensor:
    return torch.randn(b, 3, generator=seeded(seed))


# the loss


def infonce_by_loop(positive: Tensor, negative: Tensor, valid: Tensor, temperature: float) -> float:
    total, count = 0.0, 0
    for p, ns, usable in zip(positive.tolist(), negative.tolist(), valid.tolist(), strict=True):
        own = math.exp(-p / temperature)
        others = [math.exp(-n / temperature) for n, ok in zip(ns, usable, strict=True) if ok]
        if others:
            total -= math.log(own / (own + sum(others)))
            count += 1
    return total / max(count, 1)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0])
def test_infonce_is_its_definition(k: int, temperature: float) -> None:
    for seed in range(5):
        given = distances(k=k, seed=seed)
        assert float(infonce(*given, temperature)) == pytest.approx(infonce_by_loop(*given, temperature), abs=1e-12)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_with_one_negative_it_is_the_logistic_loss(temperature: float, dtype: torch.dtype) -> None:
    positive, negative, _ = (part.to(dtype) if part.is_floating_point() else part for part in distances(64, 1))
    found = infonce(positive, negative, torch.ones(64, 1, dtype=torch.bool), temperature)
    margin = (positive - negative[:, 0]) / temperature
    torch.testing.assert_close(found, F.softplus(margin).mean(), rtol=0.0, atol=1e-6)
    logistic = F.binary_cross_entropy_with_logits(-margin, torch.ones(64, dtype=dtype))
    torch.testing.assert_close(found, logistic, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("k", [1, 4])
def test_it_stays_finite_where_exponentials_do_not(k: int) -> None:
    positive = torch.tensor([1e4, 0.0], dtype=torch.float64, requires_grad=True)
    negative = torch.tensor([[0.0] * k, [1e4] * k], dtype=torch.float64)
    loss = infonce(positive, negative, torch.ones(2, k, dtype=torch.bool), 1e-2)
    (gradient,) = torch.autograd.grad(loss, positive)
    assert loss.item() == pytest.approx(1e6 / 2, rel=1e-5)
    assert gradient.tolist() == [pytest.approx(50.0), pytest.approx(0.0)]


@losses
def test_equal_distances_give_the_loss_of_a_guess(name: str) -> None:
    given = torch.ones(5), torch.ones(5, 3), torch.ones(5, 3, dtype=torch.bool)
    assert float(RANKING_LOSSES[name](*given, 0.5)) == pytest.approx(math.log(4))


@losses
def test_only_differences_of_distances_count(name: str) -> None:
    positive, negative, valid = distances()
    loss = RANKING_LOSSES[name]
    shift = torch.arange(len(positive)).double()
    moved = loss(positive + shift, negative + shift[:, None], valid, 0.5)
    torch.testing.assert_close(moved, loss(positive, negative, valid, 0.5))


@losses
def test_neither_the_order_of_rows_nor_that_of_negatives_counts(name: str) -> None:
    positive, negative, valid = distances()
    loss, rows, columns = RANKING_LOSSES[name], torch.tensor([3, 0, 6, 1, 5, 2, 4]), torch.tensor([2, 0, 1])
    mixed = loss(positive[rows], negative[rows][:, columns], valid[rows][:, columns], 0.5)
    torch.testing.assert_close(mixed, loss(positive, negative, valid, 0.5))


@losses
def test_the_gradient_pulls_the_own_condition_closer_and_pushes_the_others_away(name: str) -> None:
    positive, negative, valid = distances()
    positive.requires_grad_(), negative.requires_grad_()
    RANKING_LOSSES[name](positive, negative, valid, 0.5).backward()
    assert positive.grad is not None
    assert negative.grad is not None
    has_negative = valid.any(dim=1)
    assert bool((positive.grad[has_negative] > 0).all())
    assert bool((negative.grad[valid] < 0).all())
    assert not bool(positive.grad[~has_negative].any())
    assert not bool(negative.grad[~valid].any())


@losses
@pytest.mark.parametrize("junk", [-1e30, 1e30])
def test_invalid_negatives_have_no_say(name: str, junk: float) -> None:
    positive, negative, valid = distances()
    loss = RANKING_LOSSES[name]
    assert torch.equal(
        loss(positive, negative.masked_fill(~valid, junk), valid, 0.5), loss(positive, negative, valid, 0.5)
    )


@losses
@pytest.mark.parametrize("k", [1, 3])
def test_rows_without_a_negative_count_for_nothing(name: str, k: int) -> None:
    positive, negative, valid = distances(k=k)
    usable = valid.any(dim=1)
    assert not bool(usable.all())
    loss = RANKING_LOSSES[name]
    torch.testing.assert_close(
        loss(positive, negative, valid, 0.5), loss(positive[usable], negative[usable], valid[usable], 0.5)
    )


@losses
@pytest.mark.parametrize("k", [1, 3])
def test_a_batch_of_equal_conditions_has_no_loss_and_no_gradient(name: str, k: int) -> None:
    negatives = derangements(torch.ones(6, 3), k, seeded())
    assert not bool(negatives.valid.any())
    positive = torch.rand(6, requires_grad=True)
    loss = RANKING_LOSSES[name](positive, positive[negatives.rows], negatives.valid, 0.5)
    (gradient,) = torch.autograd.grad(loss, positive)
    assert loss.item() == 0.0
    assert gradient.tolist() == [0.0] * 6


# the distance and the accuracy


def test_the_distance_is_a_masked_sum_of_squares() -> None:
    torch.manual_seed(0)
    target, predicted = torch.randn(2, 4, 5, 2).double(), torch.randn(2, 4, 5, 2).double()
    mask = torch.arange(5) < torch.tensor([[5, 3, 1, 0], [2, 2, 4, 5]])[..., None]
    found = squared_distance(target, predicted, mask)
    for i in range(2):
        for j in range(4):
            expected = 0.0
            for step in range(5):
                for channel in range(2):
                    if mask[i, j, step]:
                        expected += float(target[i, j, step, channel] - predicted[i, j, step, channel]) ** 2
            assert float(found[i, j]) == pytest.approx(expected, abs=1e-12)


def test_the_accuracy_is_the_share_of_valid_pairs_in_order() -> None:
    positive, negative, valid = distances(20, 4)
    right = count = 0
    for i in range(20):
        for j in range(4):
            if valid[i, j]:
                count += 1
                right += bool(positive[i] < negative[i, j])
    assert float(ranking_accuracy(positive, negative, valid)) == pytest.approx(right / count)
    assert float(ranking_accuracy(positive, negative, torch.zeros_like(valid))) == 0.0


def test_the_accuracy_is_a_half_where_the_condition_is_ignored() -> None:
    """Null: 10,000 independent pairs, bound 5 s.d. (false failure 6e-7); alternative: own distances 5 % smaller."""
    positive, negative = torch.rand(10_000, generator=seeded(1)), torch.rand(10_000, 1, generator=seeded(2))
    valid = torch.ones(10_000, 1, dtype=torch.bool)
    assert abs(float(ranking_accuracy(positive, negative, valid)) - 0.5) < 0.025
    assert float(ranking_accuracy(positive - 0.05, negative, valid)) > 0.525


# negatives


@pytest.mark.parametrize(("b", "k"), [(2, 1), (3, 2), (8, 1), (8, 7), (64, 5)])
def test_negatives_are_distinct_and_never_the_row_itself(b: int, k: int) -> None:
    for seed in range(20):
        negatives = derangements(conditions(b), k, seeded(seed))
        assert negatives.rows.shape == negatives.valid.shape == (b, k)
        for row, others in enumerate(negatives.rows.tolist()):
            assert len({row, *others}) == k + 1
            assert set(others) <= set(range(b))


def test_every_row_lends_its_condition_equally_often() -> None:
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
    condition = torch.cat([conditions(5), conditions(5) + 0.05, conditions(5) + 0.2])
    negatives: Negatives = derangements(condition, 14, seeded())
    for i in range(15):
        for j, row in enumerate(negatives.rows[i].tolist()):
            squares = [float(condition[i, d] - condition[row, d]) ** 2 for d in range(3)]
            assert bool(negatives.valid[i, j]) == (math.sqrt(sum(squares) / 3) > NEAR)
    assert not bool(negatives.valid.all())
    assert bool(derangements(condition, 14, seeded(), near=0.01).valid.all())


@pytest.mark.parametrize(("b", "k"), [(4, 4), (4, 9), (1, 1), (4, 0)])
def test_more_negatives_than_others_are_refused(b: int, k: int) -> None:
    with pytest.raises(ConfigError, match=rf"^`1 <= negatives < batch_size`.*negatives={k}, batch_size={b}$"):
        derangements(conditions(b), k, seeded())
