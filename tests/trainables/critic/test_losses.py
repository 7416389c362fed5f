"""Contrastive losses against loops over pairs with the mask; accuracy and diagnostics likewise."""

import math

import pytest
import torch
from torch import Tensor

from trainables.critic.losses import LOSSES, Pairs, credit, diagnostics, forward

B, PENALTY = 9, 0.1


def pairs(seed: int = 0) -> tuple[Tensor, Tensor]:
    """f of 9 x 9 pairs, and a symmetric mask with masked pairs."""
    random = torch.Generator().manual_seed(seed)
    f = torch.randn(B, B, generator=random, dtype=torch.float64)
    label = torch.randint(5, (B,), generator=random)
    return f, label[:, None] != label


def row_loss(f: list[list[float]], negative: list[list[bool]], penalty: float) -> float:
    total = 0.0
    for i in range(B):
        z = math.log(math.fsum(math.exp(f[i][j]) for j in range(B) if j == i or negative[i][j]))
        total += z - f[i][i] + penalty * z * z
    return total / B


def pair_loss(f: list[list[float]], negative: list[list[bool]]) -> float:
    terms = []
    for i in range(B):
        for j in range(B):
            if i == j:
                terms.append(math.log1p(math.exp(-f[i][j])))
            elif negative[i][j]:
                terms.append(math.log1p(math.exp(f[i][j])))
    return math.fsum(terms) / len(terms)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("penalty", [0.0, PENALTY])
def test_each_loss_is_that_of_a_loop_over_pairs(name: str, penalty: float) -> None:
    f, negative = pairs()
    rows, columns = (row_loss(a.tolist(), b.tolist(), penalty) for a, b in ((f, negative), (f.T, negative.T)))
    expected = {
        "forward": rows,
        "backward": columns,
        "symmetric": rows + columns,
        "binary": pair_loss(f.tolist(), negative.tolist()),
    }
    assert float(LOSSES[name](Pairs.of(f, negative), penalty)) == pytest.approx(expected[name], abs=1e-12)
    assert len({round(value, 6) for value in expected.values()}) == 4


@pytest.mark.parametrize("name", LOSSES)
def test_no_masked_pair_changes_a_loss_or_has_a_gradient(name: str) -> None:
    f, negative = pairs()
    masked = ~negative & ~torch.eye(B, dtype=torch.bool)
    assert bool(masked.any())
    other = torch.where(masked, f + 50.0, f).requires_grad_()
    loss = LOSSES[name](Pairs.of(other, negative), PENALTY)
    assert loss.item() == LOSSES[name](Pairs.of(f, negative), PENALTY).item()
    loss.backward()
    assert other.grad is not None
    assert bool((other.grad[masked] == 0).all())
    assert bool((other.grad[~masked] != 0).all())


def test_a_row_without_negatives_has_no_loss_but_the_penalty() -> None:
    f, none = pairs()[0], torch.zeros(B, B, dtype=torch.bool)
    assert float(forward(Pairs.of(f, none), 0.0)) == pytest.approx(0.0, abs=1e-12)
    assert float(forward(Pairs.of(f, none), 0.5)) == pytest.approx(0.5 * float(f.diagonal().square().mean()))


def test_a_constant_critic_has_the_loss_of_chance_and_its_accuracy() -> None:
    f, everything = torch.zeros(B, B, dtype=torch.float64), torch.ones(B, B, dtype=torch.bool)
    assert float(forward(Pairs.of(f, everything), 0.0)) == pytest.approx(math.log(B))
    assert credit(f, everything).tolist() == pytest.approx([1 / B] * B)


def test_accuracy_is_that_of_a_loop_with_ties_shared() -> None:
    f, negative = pairs(3)
    f = f.mul(1.5).round()
    found, tied = credit(f, negative).tolist(), 0
    for i in range(B):
        others = [float(f[i, j]) for j in range(B) if j != i and negative[i, j]]
        own = float(f[i, i])
        equal = 1 + sum(value == own for value in others)
        tied += equal > 1
        assert found[i] == (1 / equal if own >= max(others) else 0.0)
    assert tied > 0
    assert 0 < sum(found) < B


def test_diagnostics_are_those_of_loops() -> None:
    f, negative = pairs(1)
    found = diagnostics(Pairs.of(f, negative))
    negatives = [float(f[i, j]) for i in range(B) for j in range(B) if i != j and negative[i, j]]
    z = [math.log(math.fsum(math.exp(f[i, j]) for j in range(B) if i == j or negative[i, j])) for i in range(B)]
    expected = (
        float(credit(f, negative).mean()),
        math.fsum(f.diagonal().tolist()) / B,
        math.fsum(negatives) / len(negatives),
        math.fsum(z) / B,
        1 - len(negatives) / (B * (B - 1)),
    )
    assert [float(value) for value in found] == pytest.approx(expected)
    assert 0 < expected[-1] < 1
