"""Networks of the critic: depth, initialisation, what the identity and the norm are for, recomputed activations."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from trainables.core.config import ConfigError
from trainables.critic.config import CriticModelConfig
from trainables.critic.losses import Pairs, forward
from trainables.critic.networks import CriticNetwork, ResidualNetwork, Scale, with_waves
from trainables.critic.similarity import l2

SMALL = CriticModelConfig(depth=8, width=16, embedding_dim=8)
PLAIN = Scale(torch.zeros(4), torch.ones(4), torch.zeros(2), torch.ones(2))


def dense_layers(network: nn.Module) -> list[nn.Linear]:
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


@pytest.mark.parametrize("depth", [4, 8, 64, 1024])
def test_the_depth_counts_hidden_layers_in_blocks_of_four(depth: int) -> None:
    network = ResidualNetwork(6, replace(SMALL, depth=depth, width=2))
    assert len(dense_layers(network)) == depth + 2
    assert len(network.blocks) == depth // 4


@pytest.mark.parametrize(("depth", "remedy"), [(6, "take 4 or 8"), (9, "take 8 or 12"), (1023, "take 1020 or 1024")])
def test_a_depth_that_is_no_multiple_of_four_is_refused_and_not_rounded(depth: int, remedy: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^expected `depth` to be a multiple of 4, but got depth={depth}; {remedy}$"
    ):
        CriticModelConfig(depth=depth)


@pytest.mark.parametrize("depth", [0, -4, 1028])
def test_a_depth_out_of_range_is_refused(depth: int) -> None:
    with pytest.raises(ConfigError, match=r"`4 <= depth <= 1024`"):
        CriticModelConfig(depth=depth)


def test_weights_are_uniform_with_variance_one_over_fan_in() -> None:
    torch.manual_seed(0)
    for dense in dense_layers(ResidualNetwork(6, replace(SMALL, width=256))):
        weight, bound = dense.weight.detach(), math.sqrt(3 / dense.in_features)
        assert float(weight.abs().max()) <= bound
        assert float(weight.abs().max()) > 0.95 * bound
        n = weight.numel()  # the variance of a square of a uniform number is 4/45 bound^4: 5 standard deviations
        assert abs(float(weight.square().mean()) - bound**2 / 3) < 5 * math.sqrt(4 / 45 / n) * bound**2
        assert bool((dense.bias == 0).all())


def test_a_network_is_its_definition_in_a_loop() -> None:
    torch.manual_seed(1)
    network, x = ResidualNetwork(6, SMALL), torch.randn(5, 6)

    def layer(of: nn.Module, h: Tensor) -> Tensor:
        dense, norm, _ = of.children()
        assert isinstance(dense, nn.Linear)
        assert isinstance(norm, nn.LayerNorm)
        h = h @ dense.weight.T + dense.bias
        h = (h - h.mean(dim=1, keepdim=True)) / (h.var(dim=1, correction=0, keepdim=True) + 1e-6).sqrt()
        return h * torch.sigmoid(h)

    h = layer(network.stem, x)
    for block in network.blocks:
        inner = h
        for part in block.children():
            inner = layer(part, inner)
        h = h + inner
    torch.testing.assert_close(network(x), h @ network.head.weight.T + network.head.bias)


def test_inputs_are_standardised_by_statistics_that_are_part_of_the_state() -> None:
    state, action = torch.randn(50, 4) * 30 + 7, torch.randn(50, 2) * 3 - 1
    state[:, 3] = 5.0
    scale = Scale.fit(state, action)
    torch.manual_seed(2)
    network = CriticNetwork(SMALL, scale, goal_velocity=True)
    torch.manual_seed(2)
    plain = CriticNetwork(SMALL, PLAIN, goal_velocity=True)
    columns = [(rows - rows.mean(dim=0)) / rows.std(dim=0, correction=0) for rows in (state, action)]
    columns[0][:, 3] = 0.0
    for found, expected in zip(network(state, action, state), plain(*columns, columns[0]), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert {"state_mean", "state_std", "action_mean", "action_std"} <= set(network.state_dict())


def test_waves_are_sines_and_cosines_of_octaves_of_each_column() -> None:
    x = torch.randn(3, 2, dtype=torch.float64)
    found = with_waves(x, 3)
    for row, values in zip(x.tolist(), found.tolist(), strict=True):
        angles = [value * 2**k for value in row for k in range(3)]
        assert values == pytest.approx([*row, *map(math.sin, angles), *map(math.cos, angles)])
    assert torch.equal(with_waves(x, 0), x)


def test_recomputed_activations_give_the_same_gradients() -> None:
    gradients = []
    for above in (4, 8):
        torch.manual_seed(3)
        network = ResidualNetwork(6, replace(SMALL, checkpoint_above=above))
        assert network.recomputes == (above == 4)
        network(torch.ones(3, 6)).square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other)


def trained_loss(depth: int, steps: int, *, whole: bool, width: int, rows: int = 512) -> tuple[list[float], bool]:
    """InfoNCE over steps on a task that distance solves, and whether all gradients were finite.

    The goal is the state plus noise, so that a critic that learns has much less than log 512.
    """
    torch.manual_seed(0)
    config = CriticModelConfig(depth=depth, width=width, embedding_dim=16)
    nets = [ResidualNetwork(2, config, residual=whole, norm=whole) for _ in range(2)]
    optimizer = torch.optim.Adam([p for net in nets for p in net.parameters()], lr=3e-4, fused=True)
    random, losses, finite = torch.Generator().manual_seed(1), [], True
    for _ in range(steps):
        x = torch.randn(rows, 2, generator=random)
        goal = x + 0.05 * torch.randn(rows, 2, generator=random)
        loss = forward(Pairs.of(l2(nets[0](x), nets[1](goal)), ~torch.eye(rows, dtype=torch.bool)), 0.0)
        optimizer.zero_grad()
        loss.backward()
        gradients = [p.grad for net in nets for p in net.parameters() if p.grad is not None]
        finite &= all(bool(gradient.isfinite().all()) for gradient in gradients)
        optimizer.step()
        losses.append(loss.item())
    return losses, finite


def test_a_shallow_critic_learns_the_task_of_the_next_tests() -> None:
    losses, finite = trained_loss(4, 30, whole=True, width=64)
    assert finite
    assert losses[-1] < 0.8 * math.log(512)


@pytest.mark.heavy
def test_depth_256_without_identity_and_norm_does_not_learn() -> None:
    """Swish shrinks what passes: after 256 layers all embeddings are alike, and the loss is log 512."""
    losses, _ = trained_loss(256, 20, whole=False, width=64)
    assert not math.isfinite(losses[-1]) or abs(losses[-1] - math.log(512)) < 0.01 * math.log(512)


@pytest.mark.heavy
@pytest.mark.parametrize("depth", [256, 1024])
def test_deep_critics_keep_finite_losses_and_gradients_for_100_steps(depth: int) -> None:
    losses, finite = trained_loss(depth, 100, whole=True, width=16, rows=32)
    assert finite
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]
