"""The supervised contrastive loss: its definition, its invariances, and the direction of its gradient."""

import math

import pytest
import torch
from torch import Tensor

from trainables.contrastive.supervised import TEMPERATURE, positive_pairs, supervised_contrastive

LABELS = torch.tensor([0, 2, 0, 1, 2, 0, 5, 2])  # 1 and 5 once: two rows without a positive


def embeddings(rows: int = 8, width: int = 4, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(rows, width, generator=random, dtype=torch.float64)


def by_definition(x: Tensor, labels: Tensor, temperature: float) -> float:
    """Equation 2 of Khosla et al. (2020), in plain loops, over the anchors that have a positive."""
    z = [[value / math.sqrt(sum(v * v for v in row)) for value in row] for row in x.tolist()]

    def similarity(i: int, j: int) -> float:
        return float(sum(a * b for a, b in zip(z[i], z[j], strict=True))) / temperature

    losses = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        if positives:
            denominator = sum(math.exp(similarity(i, a)) for a in others)
            terms = [math.log(math.exp(similarity(i, p)) / denominator) for p in positives]
            losses.append(-sum(terms) / len(positives))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("temperature", [0.07, 0.5, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_its_definition(temperature: float, seed: int) -> None:
    x = embeddings(seed=seed) * 3
    found = supervised_contrastive(x, LABELS, temperature)
    assert float(found) == pytest.approx(by_definition(x, LABELS, temperature), rel=1e-12)


def test_its_gradient_is_that_of_its_definition() -> None:
    x = embeddings().requires_grad_()
    (gradient,) = torch.autograd.grad(supervised_contrastive(x, LABELS, 0.5), x)
    for i in range(8):
        for column in range(4):
            step = torch.zeros_like(x)
            step[i, column] = 1e-6
            with torch.no_grad():
                rise = by_definition(x + step, LABELS, 0.5) - by_definition(x - step, LABELS, 0.5)
            assert float(gradient[i, column]) == pytest.approx(rise / 2e-6, abs=1e-8)


def test_the_default_temperature_is_the_one_of_the_seed() -> None:
    x = embeddings()
    assert torch.equal(supervised_contrastive(x, LABELS), supervised_contrastive(x, LABELS, 0.07))
    assert TEMPERATURE == 0.07


# what it does not see


def test_lengths_and_a_common_rotation_change_nothing() -> None:
    x = embeddings()
    loss = supervised_contrastive(x, LABELS)
    scale = torch.tensor([1e-3, 1.0, 7.0, 1e3, 0.5, 2.0, 1e-2, 30.0], dtype=torch.float64)
    rotation, _ = torch.linalg.qr(embeddings(4, 4, seed=9))
    torch.testing.assert_close(supervised_contrastive(x * scale[:, None], LABELS), loss)
    torch.testing.assert_close(supervised_contrastive(x @ rotation, LABELS), loss)


def test_neither_the_order_of_rows_nor_the_numbers_of_labels_count() -> None:
    x, order = embeddings(), torch.tensor([6, 0, 3, 5, 1, 7, 2, 4])
    loss = supervised_contrastive(x, LABELS)
    torch.testing.assert_close(supervised_contrastive(x[order], LABELS[order]), loss)
    renamed = torch.tensor([9, 4, 7, 0, 0, 1])[LABELS]
    assert renamed[LABELS == 5].item() == 1
    torch.testing.assert_close(supervised_contrastive(x, renamed), loss)


def test_other_labels_give_another_loss() -> None:
    x = embeddings()
    other = LABELS.roll(1)
    assert abs(float(supervised_contrastive(x, LABELS) - supervised_contrastive(x, other))) > 0.1


def test_rows_without_a_positive_are_no_anchors_but_others() -> None:
    """They push, and are pushed, through the denominators of the rest."""
    x = embeddings().requires_grad_()
    alone = torch.tensor([3, 6])
    loss = supervised_contrastive(x, LABELS)
    (gradient,) = torch.autograd.grad(loss, x)
    assert bool(gradient[alone].any(dim=1).all())
    kept = torch.tensor([0, 1, 2, 4, 5, 7])
    assert float(supervised_contrastive(x[kept], LABELS[kept]).detach()) < float(loss.detach())


def test_a_row_is_never_its_own_positive_or_negative() -> None:
    """Two rows of one label have nothing but each other: the loss is 0 wherever they are."""
    for seed in range(5):
        loss = supervised_contrastive(embeddings(2, seed=seed), torch.tensor([4, 4]))
        assert float(loss) == pytest.approx(0.0, abs=1e-12)


def test_the_pairs_are_the_other_rows_of_the_same_label() -> None:
    found = positive_pairs(LABELS)
    for i in range(8):
        for j in range(8):
            assert bool(found[i, j]) == (i != j and int(LABELS[i]) == int(LABELS[j]))


# its values


def test_equal_embeddings_give_the_loss_of_chance() -> None:
    x = torch.ones(8, 4, dtype=torch.float64)
    assert float(supervised_contrastive(x, LABELS)) == pytest.approx(math.log(7))


def test_its_least_value_is_the_mean_log_of_the_positives() -> None:
    """Classes each in one point, opposite to the other: each anchor spreads over its equal positives."""
    x = torch.tensor([[1.0, 0.0]] * 3 + [[-1.0, 0.0]] * 5, dtype=torch.float64)
    labels = torch.tensor([0] * 3 + [1] * 5)
    assert float(supervised_contrastive(x, labels)) == pytest.approx((3 * math.log(2) + 5 * math.log(4)) / 8)


@pytest.mark.parametrize("rows", [0, 1, 2, 5])
def test_without_any_positive_it_is_0_with_a_gradient_of_zeros(rows: int) -> None:
    for dtype in (torch.float32, torch.float64):
        x = embeddings(rows).to(dtype).requires_grad_()
        loss = supervised_contrastive(x, torch.arange(rows))
        (gradient,) = torch.autograd.grad(loss, x)
        assert loss.item() == 0.0
        assert gradient.shape == (rows, 4)
        assert not bool(gradient.any())


@pytest.mark.parametrize("temperature", [0.07, 1e-3, 1e-6])
def test_float32_holds_where_a_sum_of_exponentials_would_not(temperature: float) -> None:
    x = embeddings(64, 8)
    labels = torch.arange(64) % 5
    single = x.float().requires_grad_()
    found = supervised_contrastive(single, labels, temperature)
    (gradient,) = torch.autograd.grad(found, single)
    assert bool(gradient.isfinite().all())
    exact = supervised_contrastive(x, labels, temperature)
    torch.testing.assert_close(found.detach().double(), exact, rtol=1e-5, atol=0)


def test_an_embedding_of_length_0_leaves_everything_finite() -> None:
    x = embeddings()
    x[2] = 0.0
    x.requires_grad_()
    loss = supervised_contrastive(x, LABELS)
    (gradient,) = torch.autograd.grad(loss, x)
    assert math.isfinite(loss.item())
    assert bool(gradient.isfinite().all())


def test_nan_is_propagated() -> None:
    x = embeddings()
    x[2, 1] = math.nan
    assert math.isnan(float(supervised_contrastive(x, LABELS)))


# what it is for


def test_gradient_descent_clusters_a_label_and_separates_labels() -> None:
    x = embeddings(12).float().requires_grad_()
    labels = torch.arange(12) % 3
    optimiser = torch.optim.Adam([x], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        supervised_contrastive(x, labels, 0.5).backward()
        optimiser.step()
    z = torch.nn.functional.normalize(x.detach(), dim=1)
    similarity, same = z @ z.T, labels[:, None] == labels
    assert float(similarity[same].min()) > 0.95
    assert float(similarity[~same].max()) < 0.0
