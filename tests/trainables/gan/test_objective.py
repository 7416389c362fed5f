"""The game's losses against their definition in plain loops, and the gradient penalty against known critics."""

import pytest
import torch
from torch import Tensor

from trainables.data.config import CONDITION_WIDTH
from trainables.data.dataset import Batch, Sequences
from trainables.data.splits.statistics import Statistics
from trainables.gan.config import GanModelConfig
from trainables.gan.networks import Critic
from trainables.gan.objective import critic_loss, generator_loss, gradient_penalty, sample_randomness

B, T, C, D = 4, 12, 2, CONDITION_WIDTH
LENGTHS = (8, 12, 9, 10)


def game() -> tuple[Critic, Batch, Tensor, Tensor]:
    """A critic, a batch of real sequences, fakes and mixing shares, in float64."""
    torch.manual_seed(0)
    statistics = Statistics(torch.zeros(C), torch.ones(C), torch.zeros(D), torch.ones(D), torch.tensor(1.0))
    critic = Critic(statistics, GanModelConfig(widths=(6, 8), embedding_dim=7)).double()
    mask = torch.arange(T) < torch.tensor(LENGTHS)[:, None]
    real, fake = (torch.randn(2, B, T, C, dtype=torch.float64) * mask[..., None]).unbind(0)
    condition = torch.randn(B, D, dtype=torch.float64)
    return critic, Batch(Sequences(real, mask), condition), fake, torch.rand(B, dtype=torch.float64)


def norm_by_differences(critic: Critic, x: Tensor, mask: Tensor, condition: Tensor, h: float = 1e-6) -> float:
    """|d f / d x| of one sequence, entry by entry."""
    total = 0.0
    for t in range(T):
        for c in range(C):
            step = torch.zeros_like(x)
            step[t, c] = h
            high, low = (critic((x + s * step)[None], mask[None], condition[None]).item() for s in (1, -1))
            total += ((high - low) / (2 * h)) ** 2
    return float(total**0.5)


def test_the_critics_loss_is_its_definition_row_by_row() -> None:
    critic, batch, fake, mix = game()
    (real, mask), condition = batch
    distance = penalty = 0.0
    for b in range(B):
        f = [critic(x[b : b + 1], mask[b : b + 1], condition[b : b + 1]).item() for x in (real, fake)]
        distance += (f[0] - f[1]) / B
        mixed = mix[b] * real[b] + (1 - mix[b]) * fake[b]
        penalty += (norm_by_differences(critic, mixed, mask[b], condition[b]) - 1) ** 2 / B
    loss = critic_loss(critic, batch, fake, mix, 7.0)
    assert loss.distance.item() == pytest.approx(distance)
    assert loss.penalty.item() == pytest.approx(penalty, rel=1e-6)
    assert loss.total.item() == pytest.approx(7.0 * penalty - distance, rel=1e-6)


def test_the_penaltys_gradient_is_that_of_finite_differences() -> None:
    """The second derivative of the critic: every weight of it moved a little."""
    critic, batch, fake, mix = game()
    critic_loss(critic, batch, fake, mix, 7.0).total.backward()
    checked = 0
    for parameter in critic.parameters():
        for place in range(0, parameter.numel(), 37):
            flat = parameter.data.view(-1)
            value, found = float(flat[place]), parameter.grad.view(-1)[place].item()  # type: ignore[union-attr]
            sides = []
            for side in (1e-6, -1e-6):
                flat[place] = value + side
                sides.append(critic_loss(critic, batch, fake, mix, 7.0).total.item())
            flat[place] = value
            assert found == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-5)
            checked += found != 0.0
    assert checked > 20


@pytest.mark.parametrize(("slope", "expected"), [(0.0, 1.0), (1.0, 0.0), (0.25, 0.5625), (-3.0, 4.0)])
def test_the_penalty_of_a_linear_critic_is_the_squared_distance_of_its_slope_from_one(
    slope: float, expected: float
) -> None:
    x = torch.randn(B, T, C, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(T, C, dtype=torch.float64)
    scores = slope * (x * direction / direction.norm()).sum(dim=(1, 2))
    assert gradient_penalty(scores, x).tolist() == pytest.approx([expected] * B, abs=1e-5)


def test_a_flat_critic_has_a_finite_gradient() -> None:
    """The norm has no derivative at 0, where a network without any slope stands."""
    weight = torch.zeros(C, requires_grad=True)
    x = torch.randn(B, T, C, requires_grad=True)
    gradient_penalty((x * weight).sum(dim=(1, 2)), x).sum().backward()
    assert weight.grad is not None
    assert bool(torch.isfinite(weight.grad).all())


def test_the_generators_loss_is_minus_the_mean_score_and_reaches_the_fakes() -> None:
    critic, batch, fake, _ = game()
    fake.requires_grad_()
    loss = generator_loss(critic, batch, fake)
    rows = [critic(fake[b : b + 1], batch.sequences.mask[b : b + 1], batch.condition[b : b + 1]) for b in range(B)]
    assert loss.item() == pytest.approx(-sum(row.item() for row in rows) / B)
    [gradient] = torch.autograd.grad(loss, fake)
    assert bool((gradient != 0).any(dim=2).eq(batch.sequences.mask).all())


def test_the_mixing_shares_are_uniform_and_the_rest_is_normal() -> None:
    """z tests of mean and variance over 4,000 rows at |z| < 4: six of them, false failures 4e-4."""
    drawn = sample_randomness(torch.ones(4000, 8, dtype=torch.bool), 3, 2, torch.Generator().manual_seed(0))
    assert drawn.latent.shape == (4000, 3)
    assert drawn.noise.shape == (4000, 8, 2)
    for values, mean, variance, fourth in ((drawn.mix, 0.5, 1 / 12, 1 / 80), (drawn.latent, 0.0, 1.0, 3.0)):
        n = values.numel()
        assert abs(float(values.mean()) - mean) < 4 * (variance / n) ** 0.5
        assert abs(float(values.var()) - variance) < 4 * ((fourth - variance**2) / n) ** 0.5
        assert abs(float(values.mean()) - mean - 0.1) > 4 * (variance / n) ** 0.5
