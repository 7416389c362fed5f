"""Laws of the network: a row is its own valid steps and features, and the outputs are the definition's."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.detector.model import DetectorModelConfig, DetectorNetwork, Outputs, Residual
from trainables.diffusion.models.layers import Convolution

C, F = 2, 5
CONFIG = DetectorModelConfig(width=4, features_width=6, fused_width=8, embedding_dim=3, dropout=0.3, deep_bound=0.5)
CERTAIN = replace(CONFIG, dropout=0.0, drop_deep=0.0)
LENGTHS = (8, 13, 9, 12, 16, 11)
Given = tuple[Tensor, Tensor, Tensor]
Array = NDArray[np.float64]


@pytest.fixture
def network() -> DetectorNetwork:
    torch.manual_seed(0)
    return DetectorNetwork(C, F, CONFIG).double().eval()


def given(steps: int = max(LENGTHS), seed: int = 0) -> Given:
    """Steps of six lengths, zero beyond them, and features."""
    random = torch.Generator().manual_seed(seed)
    mask = torch.arange(steps) < torch.tensor(LENGTHS)[:, None]
    z = torch.zeros(len(LENGTHS), steps, C, dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        z[row, :length] = torch.randn(length, C, generator=torch.Generator().manual_seed(row), dtype=torch.float64)
    return z, mask, torch.randn(len(LENGTHS), F, generator=random, dtype=torch.float64)


def assert_close(found: Outputs, expected: Outputs) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


# the laws


@pytest.mark.parametrize("stuffing", [1.0, 1e9, float("inf"), float("nan")])
def test_nothing_under_the_mask_reaches_an_output(network: DetectorNetwork, stuffing: float) -> None:
    z, mask, features = given(steps=21)
    stuffed = torch.where(mask[..., None], z, stuffing)
    for one, other in zip(network(stuffed, mask, features), network(z, mask, features), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("more", range(1, 10))
def test_more_padding_changes_nothing(network: DetectorNetwork, more: int) -> None:
    """The longest row fills the batch before, and has padding after."""
    assert_close(network(*given(max(LENGTHS) + more)), network(*given()))


@pytest.mark.parametrize("row", range(len(LENGTHS)))
def test_rows_are_strangers_whatever_their_length(network: DetectorNetwork, row: int) -> None:
    """Alone and without padding, of odd and even length, a row is what it is in a batch; it takes no part in others."""
    z, mask, features = given()
    mine, together = slice(row, row + 1), network(z, mask, features)
    length = LENGTHS[row]
    alone = network(z[mine, :length], mask[mine, :length], features[mine])
    assert_close(alone, Outputs(*(part[mine] for part in together)))
    others = torch.tensor([k for k in range(len(LENGTHS)) if k != row]).flip(0)
    rest = network(z[others], mask[others], features[others])
    assert_close(rest, Outputs(*(part[others] for part in together)))


def test_every_valid_step_and_every_feature_has_a_say(network: DetectorNetwork) -> None:
    """Alternative to the above: what is not masked does reach the outputs, and those of its own row alone."""
    z, mask, features = (part.clone() for part in given())
    z.requires_grad_()
    features.requires_grad_()
    network(z, mask, features).logit[1].backward()
    assert z.grad is not None
    assert features.grad is not None
    assert torch.equal(z.grad[1].abs().sum(dim=1) > 0, mask[1])
    assert bool((features.grad[1] != 0).all())
    others = [row for row in range(len(LENGTHS)) if row != 1]
    assert not z.grad[others].any()
    assert not features.grad[others].any()


@pytest.mark.parametrize("chance", [{"dropout": 0.5}, {"drop_deep": 0.5}])
def test_chance_acts_in_training_alone(chance: dict[str, Any]) -> None:
    network = DetectorNetwork(C, F, replace(CERTAIN, **chance))
    z, mask, features = (part.float() if part.is_floating_point() else part for part in given())

    def logits() -> list[Tensor]:
        return [network(z, mask, features).logit for _ in range(20)]

    assert len({tuple(logit.tolist()) for logit in logits()}) > 1
    network.eval()
    assert len({tuple(logit.tolist()) for logit in logits()}) == 1


def test_the_linear_part_tells_a_share_of_the_training_rows_alone() -> None:
    """Of 4,000 rows 0.3, each by chance: within 5 standard deviations, which fails falsely once in a million times."""
    torch.manual_seed(0)
    network = DetectorNetwork(C, F, replace(CERTAIN, drop_deep=0.3)).double()
    z, mask, features = (part[torch.arange(4000) % len(LENGTHS)] for part in given())
    network.eval()
    whole = network(z, mask, features)
    network.train()
    trained = network(z, mask, features)
    linear_alone = network.wide(features).squeeze(1)
    alone, both = trained.logit == linear_alone, torch.isclose(trained.logit, whole.logit, rtol=0, atol=1e-12)
    assert bool((alone ^ both).all())
    assert abs(float(alone.double().mean()) - 0.3) < 5 * (0.3 * 0.7 / 4000) ** 0.5
    assert_close(trained._replace(logit=whole.logit), whole)


def test_what_the_trunk_adds_to_the_linear_part_is_bounded(network: DetectorNetwork) -> None:
    with torch.no_grad():
        network.deep.weight.mul_(1e3)
    z, mask, features = given()
    added = (network(z, mask, features).logit - network.wide(features).squeeze(1)).detach()
    assert float(added.abs().max()) <= CONFIG.deep_bound
    assert float(added.abs().min()) > 0.9 * CONFIG.deep_bound


# the definition


def convolved(layer: Convolution, x: Array) -> Array:
    """Convolution over time by loops, zeros beyond the ends."""
    weight = layer.weight.detach().numpy()
    kernel, stride = weight.shape[1], layer.stride[1]
    steps = (len(x) + 2 * (kernel // 2) - kernel) // stride + 1
    out = np.zeros((steps, weight.shape[0]))
    for step in range(steps):
        for k in range(kernel):
            at = step * stride + k - kernel // 2
            if 0 <= at < len(x):
                out[step] += weight[:, k] @ x[at]
    return out


def silu(x: Array) -> Array:
    return np.asarray(x / (1.0 + np.exp(-x)))


def linear(layer: Any, x: Array) -> Array:
    return np.asarray(layer.weight.detach().numpy() @ x + layer.bias.detach().numpy())


def normalised(layer: Any, x: Array) -> Array:
    scaled = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + layer.eps)
    return np.asarray(scaled * layer.weight.detach().numpy() + layer.bias.detach().numpy())


def residual(stage: Residual, h: Array) -> Array:
    return h + convolved(stage.conv2, silu(convolved(stage.conv1, silu(normalised(stage.norm, h)))))


def by_definition(network: DetectorNetwork, z: Array, features: Array) -> list[Array]:
    """The outputs of one movement without padding, step by step."""
    trunk: Any = network.trunk
    first, _, second = trunk.features
    pooled = [linear(second, silu(linear(first, features)))]
    h = convolved(trunk.stem, z)
    for level, stage in enumerate(trunk.stages):
        h = residual(stage, convolved(trunk.downs[level - 1], h) if level else h)
        pooled += [h.mean(axis=0), h.max(axis=0)]
    norm, _, fuse, _ = trunk.fuse
    fused = silu(linear(fuse, normalised(norm, np.concatenate(pooled))))
    deep = CONFIG.deep_bound * np.tanh(linear(network.deep, fused) / CONFIG.deep_bound)
    heads: list[Any] = [network.task, network.embodiment]
    return [linear(network.wide, features) + deep, *(linear(head[2], silu(linear(head[0], fused))) for head in heads)]


def test_the_outputs_are_those_of_the_definition_in_plain_loops(network: DetectorNetwork) -> None:
    """Of a row amid longer ones, whose stages end on odd numbers of steps; norms and biases that are not trivial."""
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
    z, mask, features = given(steps=19)
    outputs = network(z, mask, features)
    for row, length in enumerate(LENGTHS):
        expected = by_definition(network, z[row, :length].numpy(), features[row].numpy())
        for part, wanted in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(part[row].detach().numpy().reshape(-1), wanted, rtol=0, atol=1e-12)


def test_the_stages_widen_from_the_finest_on() -> None:
    assert DetectorModelConfig(width=32).widths == (32, 48, 64)
    assert CONFIG.widths == (4, 6, 8)
