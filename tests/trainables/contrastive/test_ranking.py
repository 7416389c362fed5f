"""Properties of the ranking losses, of the distances they compare, and of the accuracy."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.contrastive.negatives import derangements
from trainables.contrastive.ranking import (
    NORMALISATIONS,
    RANKING_LOSSES,
    ranking_accuracy,
    row_weights,
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


# the losses, each against its definition


Pairs = tuple[float, list[float]]
"""d_pos of a row and the d_neg of its valid negatives."""


def infonce_of_row(pair: Pairs, tau: float, m: float) -> float:
    own = math.exp(-pair[0] / tau)
    return -math.log(own / (own + sum(math.exp(-other / tau) for other in pair[1])))


def triplet_of_row(pair: Pairs, tau: float, m: float) -> float:
    return max(0.0, m + pair[0] - min(pair[1]))


def hinge0_of_row(pair: Pairs, tau: float, m: float) -> float:
    return max(0.0, pair[0] - min(pair[1]))


def softplus_of_row(pair: Pairs, tau: float, m: float) -> float:
    return math.log(1 + math.exp((pair[0] - min(pair[1])) / tau))


def logistic_of_row(pair: Pairs, tau: float, m: float) -> float:
    return sum(math.log(1 + math.exp((pair[0] - other) / tau)) for other in pair[1]) / len(pair[1])


DEFINITIONS: dict[str, Callable[[Pairs, float, float], float]] = {
    "infonce": infonce_of_row,
    "triplet": triplet_of_row,
    "hinge0": hinge0_of_row,
    "softplus": softplus_of_row,
    "logistic": logistic_of_row,
}
OF_A_GUESS = {  # of three negatives at the distance of the positive, with margin 0.2
    "infonce": math.log(4),
    "triplet": 0.2,
    "hinge0": 0.0,
    "softplus": math.log(2),
    "logistic": math.log(2),
}


def rows_of(positive: Tensor, negative: Tensor, valid: Tensor) -> list[Pairs]:
    """Rows that have a negative, in plain numbers."""
    pairs = [
        (p, [n for n, ok in zip(ns, oks, strict=True) if ok])
        for p, ns, oks in zip(positive.tolist(), negative.tolist(), valid.tolist(), strict=True)
    ]
    return [pair for pair in pairs if pair[1]]


@losses
@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_a_loss_is_its_definition(name: str, k: int, temperature: float, margin: float) -> None:
    for seed in range(5):
        given = distances(k=k, seed=seed)
        each = [DEFINITIONS[name](pair, temperature, margin) for pair in rows_of(*given)]
        found = RANKING_LOSSES[name](*given, temperature, margin)
        assert float(found) == pytest.approx(sum(each) / len(each), abs=1e-12)


@pytest.mark.parametrize("name", ["infonce", "softplus", "logistic"])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_with_one_negative_the_smooth_losses_are_the_logistic_one(
    name: str, temperature: float, dtype: torch.dtype
) -> None:
    positive, negative, _ = (part.to(dtype) if part.is_floating_point() else part for part in distances(64, 1))
    found = RANKING_LOSSES[name](positive, negative, torch.ones(64, 1, dtype=torch.bool), temperature)
    margin = (positive - negative[:, 0]) / temperature
    torch.testing.assert_close(found, F.softplus(margin).mean(), rtol=0.0, atol=1e-6)
    logistic = F.binary_cross_entropy_with_logits(-margin, torch.ones(64, dtype=dtype))
    torch.testing.assert_close(found, logistic, rtol=0.0, atol=1e-6)


def test_with_more_negatives_they_are_three_in_this_order() -> None:
    """The mean of the pairs' losses, that of the hardest pair, and that of the hardest raised by the others."""
    for seed in range(10):
        given = distances(seed=seed)
        mean, hardest, together = (float(RANKING_LOSSES[n](*given, 0.5)) for n in ("logistic", "softplus", "infonce"))
        assert mean < hardest < together < hardest + math.log(3)


def test_hinge0_is_the_limit_of_softplus_and_the_triplet_without_margin() -> None:
    given = distances()
    hinge = float(RANKING_LOSSES["hinge0"](*given, 0.5, 0.3))
    assert float(RANKING_LOSSES["triplet"](*given, 0.5, 0.0)) == hinge != RANKING_LOSSES["triplet"](*given, 0.5, 0.3)
    gaps = [tau * float(RANKING_LOSSES["softplus"](*given, tau)) - hinge for tau in (0.1, 0.01, 0.001)]
    assert gaps[0] > 1e-3
    assert all(-1e-12 < gap <= tau * math.log(2) for gap, tau in zip(gaps, (0.1, 0.01, 0.001), strict=True))


@losses
@pytest.mark.parametrize("k", [1, 4])
def test_it_stays_finite_where_exponentials_do_not(name: str, k: int) -> None:
    positive = torch.tensor([1e4, 0.0], dtype=torch.float64, requires_grad=True)
    negative = torch.tensor([[0.0] * k, [1e4] * k], dtype=torch.float64)
    loss = RANKING_LOSSES[name](positive, negative, torch.ones(2, k, dtype=torch.bool), 1e-2)
    (gradient,) = torch.autograd.grad(loss, positive)
    tau = 1.0 if name in ("triplet", "hinge0") else 1e-2
    assert loss.item() == pytest.approx(1e4 / tau / 2, rel=1e-5)
    assert gradient.tolist() == [pytest.approx(0.5 / tau), pytest.approx(0.0)]


@losses
def test_equal_distances_give_the_loss_of_chance(name: str) -> None:
    given = torch.ones(5), torch.ones(5, 3), torch.ones(5, 3, dtype=torch.bool)
    assert float(RANKING_LOSSES[name](*given, 0.5, 0.2)) == pytest.approx(OF_A_GUESS[name])


@losses
def test_only_differences_of_distances_count(name: str) -> None:
    positive, negative, valid = distances()
    loss = RANKING_LOSSES[name]
    shift = torch.arange(len(positive)).double()
    moved = loss(positive + shift, negative + shift[:, None], valid, 0.5, 0.2)
    torch.testing.assert_close(moved, loss(positive, negative, valid, 0.5, 0.2))


@losses
def test_neither_the_order_of_rows_nor_that_of_negatives_counts(name: str) -> None:
    positive, negative, valid = distances()
    loss, rows, columns = RANKING_LOSSES[name], torch.tensor([3, 0, 6, 1, 5, 2, 4]), torch.tensor([2, 0, 1])
    mixed = loss(positive[rows], negative[rows][:, columns], valid[rows][:, columns], 0.5, 0.2)
    torch.testing.assert_close(mixed, loss(positive, negative, valid, 0.5, 0.2))


@losses
def test_the_gradient_pulls_the_own_condition_closer_and_pushes_others_away(name: str) -> None:
    """The smooth losses do so at every valid pair; the hinges at the hardest one, and only where it is too near."""
    positive, negative, valid = distances()
    positive.requires_grad_(), negative.requires_grad_()
    RANKING_LOSSES[name](positive, negative, valid, 0.5, 0.2).backward()
    assert positive.grad is not None
    assert negative.grad is not None
    nearest = negative.masked_fill(~valid, torch.inf).amin(dim=1)
    margin = {"triplet": 0.2, "hinge0": 0.0}.get(name, math.inf)
    active = valid.any(dim=1) & (positive + margin > nearest)
    hardest_only = name in ("triplet", "hinge0", "softplus")
    pushed = active[:, None] & valid & ((negative == nearest[:, None]) | (not hardest_only))
    assert torch.equal(positive.grad > 0, active)
    assert torch.equal(negative.grad < 0, pushed)
    assert not bool(positive.grad[~active].any())
    assert not bool(negative.grad[~pushed].any())
    torch.testing.assert_close(negative.grad.sum(dim=1), -positive.grad)


@losses
@pytest.mark.parametrize("junk", [-1e30, 1e30])
def test_invalid_negatives_have_no_effect(name: str, junk: float) -> None:
    positive, negative, valid = distances()
    loss = RANKING_LOSSES[name]
    assert torch.equal(
        loss(positive, negative.masked_fill(~valid, junk), valid, 0.5, 0.2), loss(positive, negative, valid, 0.5, 0.2)
    )


@losses
@pytest.mark.parametrize("k", [1, 3])
def test_rows_without_a_negative_count_for_nothing(name: str, k: int) -> None:
    positive, negative, valid = distances(k=k)
    usable = valid.any(dim=1)
    assert not bool(usable.all())
    loss = RANKING_LOSSES[name]
    torch.testing.assert_close(
        loss(positive, negative, valid, 0.5, 0.2),
        loss(positive[usable], negative[usable], valid[usable], 0.5, 0.2),
    )


@losses
@pytest.mark.parametrize("k", [1, 3])
def test_a_batch_of_equal_conditions_has_no_loss_and_no_gradient(name: str, k: int) -> None:
    negatives = derangements(torch.ones(6, 3), k, seeded())
    assert not bool(negatives.valid.any())
    positive = torch.rand(6, requires_grad=True)
    loss = RANKING_LOSSES[name](positive, positive[negatives.rows], negatives.valid, 0.5, 0.2)
    (gradient,) = torch.autograd.grad(loss, positive)
    assert loss.item() == 0.0
    assert gradient.tolist() == [0.0] * 6


@losses
def test_parts_of_a_batch_weighted_by_the_batch_add_up_to_it(name: str) -> None:
    positive, negative, valid = distances(8)
    weight, loss = row_weights(valid), RANKING_LOSSES[name]
    whole = loss(positive, negative, valid, 0.5, 0.2)
    halves = [loss(positive[h], negative[h], valid[h], 0.5, 0.2, weight[h]) for h in (slice(0, 4), slice(4, 8))]
    torch.testing.assert_close(torch.stack(halves).mean(), whole)
    alone = [loss(positive[h], negative[h], valid[h], 0.5, 0.2) for h in (slice(0, 4), slice(4, 8))]
    assert abs(float(torch.stack(alone).mean() - whole)) > 1e-3, "one row of the first half has no negative"


def test_the_weights_of_rows_are_one_on_average() -> None:
    valid = torch.tensor([[True, False], [False, False], [True, True], [False, False], [False, True]])
    assert row_weights(valid).tolist() == pytest.approx([5 / 3, 0, 5 / 3, 0, 5 / 3])
    assert row_weights(torch.zeros(3, 2, dtype=torch.bool)).tolist() == [0, 0, 0]


# normalisation


@pytest.mark.parametrize("name", list(NORMALISATIONS))
def test_a_normalised_distance_is_its_definition(name: str) -> None:
    distance, dimensions, scale = torch.rand(5, 3), torch.tensor([4.0, 8.0, 2.0, 16.0, 6.0])[:, None], torch.tensor(2.5)
    found = NORMALISATIONS[name](distance, dimensions, scale)
    for i in range(5):
        for j in range(3):
            divisor = {"batch": 2.5, "dimension": float(dimensions[i, 0]), "none": 1.0}[name]
            assert float(found[i, j]) == pytest.approx(float(distance[i, j]) / divisor)


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
