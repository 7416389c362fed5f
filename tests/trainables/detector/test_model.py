"""Properties of the network: a row is its own valid steps and features, and the outputs are as defined."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.detector.config import DetectorModelConfig
from trainables.detector.model import FADE, DetectorNetwork, Outputs, Residual
from trainables.nn.layers import Convolution

C, F = 2, 5
CONFIG = DetectorModelConfig(width=4, features_width=6, fused_width=8, embedding_dim=3, dropout=0.3, deep_bound=0.5)
CERTAIN = replace(CONFIG, dropout=0.0, drop_part=0.0)
LENGTHS = (8, 13, 9, 12, 16, 11)
Given = tuple[Tensor, Tensor, Tensor, Tensor]
Array = NDArray[np.float64]


@pytest.fixture
def network() -> DetectorNetwork:
    torch.manual_seed(0)
    return DetectorNetwork(C, F, CONFIG).double().eval()


def given(steps: int = max(LENGTHS), seed: int = 0) -> Given:
    """Return steps of six lengths, zero beyond them, features and directions."""
    random = torch.Generator().manual_seed(seed)
    mask = torch.arange(steps) < torch.tensor(LENGTHS)[:, None]
    z = torch.zeros(len(LENGTHS), steps, C, dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        z[row, :length] = torch.randn(length, C, generator=torch.Generator().manual_seed(row), dtype=torch.float64)
    features, direction = (torch.randn(len(LENGTHS), n, generator=random, dtype=torch.float64) for n in (F, 2))
    return z, mask, features, direction


def assert_close(found: Outputs, expected: Outputs) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


# the laws


@pytest.mark.parametrize("stuffing", [1.0, 1e9, float("inf"), float("nan")])
def test_values_under_the_mask_do_not_reach_an_output(network: DetectorNetwork, stuffing: float) -> None:
    z, mask, *rest = given(steps=21)
    stuffed = torch.where(mask[..., None], z, stuffing)
    for one, other in zip(network(stuffed, mask, *rest), network(z, mask, *rest), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("more", range(1, 10))
def test_more_padding_changes_nothing(network: DetectorNetwork, more: int) -> None:
    """The longest row fills the batch before, and has padding after."""
    assert_close(network(*given(max(LENGTHS) + more)), network(*given()))


@pytest.mark.parametrize("row", range(len(LENGTHS)))
def test_rows_are_independent_at_any_length(network: DetectorNetwork, row: int) -> None:
    """A row alone without padding, of odd or even length, has its outputs of a batch, and does not change others."""
    whole = given()
    mine, together, length = slice(row, row + 1), network(*whole), LENGTHS[row]
    z, mask, *rest = (part[mine] for part in whole)
    assert_close(network(z[:, :length], mask[:, :length], *rest), Outputs(*(part[mine] for part in together)))
    others = torch.tensor([k for k in range(len(LENGTHS)) if k != row]).flip(0)
    assert_close(network(*(part[others] for part in whole)), Outputs(*(part[others] for part in together)))


def test_every_valid_step_and_every_feature_reaches_an_output(network: DetectorNetwork) -> None:
    """Alternative to the above: unmasked values reach the outputs of their own row, and of no other."""
    z, mask, features, direction = (part.clone() for part in given())
    z.requires_grad_()
    features.requires_grad_()
    network(z, mask, features, direction).logit[1].backward()
    assert z.grad is not None
    assert features.grad is not None
    assert torch.equal(z.grad[1].abs().sum(dim=1) > 0, mask[1])
    assert bool((features.grad[1] != 0).all())
    others = [row for row in range(len(LENGTHS)) if row != 1]
    assert not z.grad[others].any()
    assert not features.grad[others].any()


def test_the_direction_reaches_the_task_alone_and_the_steps_do_not_reach_it(network: DetectorNetwork) -> None:
    z, mask, features, direction = given()
    one, turned = network(z, mask, features, direction), network(z, mask, features, -direction)
    assert torch.equal(one.logit, turned.logit)
    assert torch.equal(one.embodiment, turned.embodiment)
    assert not torch.isclose(one.task, turned.task).all(dim=1).any()
    moved = network(2.0 * z, mask, features, direction)
    assert torch.equal(one.task, moved.task)
    assert not torch.isclose(one.embodiment, moved.embodiment).all(dim=1).any()


@pytest.mark.parametrize("chance", [{"dropout": 0.5}, {"drop_part": 0.5}])
def test_random_numbers_are_used_in_training_alone(chance: dict[str, Any]) -> None:
    network = DetectorNetwork(C, F, replace(CERTAIN, **chance))
    inputs = [part.float() if part.is_floating_point() else part for part in given()]

    def logits() -> list[Tensor]:
        return [network(*inputs).logit for _ in range(20)]

    assert len({tuple(logit.tolist()) for logit in logits()}) > 1
    network.eval()
    assert len({tuple(logit.tolist()) for logit in logits()}) == 1


def test_the_correction_of_the_fused_vector_fades_with_the_distance_from_users() -> None:
    """The distance is the last feature; half is left at `reach`, and nearly nothing far beyond."""
    torch.manual_seed(0)
    network = DetectorNetwork(C, F, CERTAIN).double().eval()
    z, mask, features, direction = given()
    added = []
    for distance in (-50.0, CERTAIN.reach, 50.0):
        features[:, -1] = distance
        deep = parts_of(network, (z, mask, features, direction))[2]
        fused = network.trunk(z, mask, features)
        whole = CERTAIN.deep_bound * torch.tanh(network.deep(fused).squeeze(1) / CERTAIN.deep_bound)
        added.append((deep / whole).detach())
    for found, expected in zip(added, (1.0, 0.5, 0.0), strict=True):
        torch.testing.assert_close(found, torch.full_like(found, expected), rtol=0, atol=1e-9)


def parts_of(network: DetectorNetwork, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the terms of the linear function, of the network on the features and of the fused vector."""
    features = inputs[2]
    wide, shallow = network.wide(features).squeeze(1), network.shallow(features).squeeze(1)
    return wide, shallow, network(*inputs).logit - wide - shallow


def test_each_part_but_the_linear_one_is_dropped_for_a_share_of_the_training_rows() -> None:
    """Of 4,000 rows 0.3, each by chance: within 5 standard deviations, which fails falsely once in a million times."""
    torch.manual_seed(0)
    network = DetectorNetwork(C, F, replace(CERTAIN, drop_part=0.3)).double().eval()
    inputs = [part[torch.arange(4000) % len(LENGTHS)] for part in given()]
    whole = network(*inputs)
    wide, shallow, deep = parts_of(network, inputs)
    network.train()
    trained = network(*inputs)
    sums = {(a, b): wide + a * shallow + b * deep for a in (0, 1) for b in (0, 1)}
    met = {kept: torch.isclose(trained.logit, total, rtol=0, atol=1e-12) for kept, total in sums.items()}
    assert bool((torch.stack([*met.values()]).sum(dim=0) == 1).all())
    for (a, b), rows in met.items():
        share = (0.7 if a else 0.3) * (0.7 if b else 0.3)
        assert abs(float(rows.double().mean()) - share) < 5 * (share * (1 - share) / 4000) ** 0.5
    assert_close(trained._replace(logit=whole.logit), whole)


def test_the_correction_of_the_fused_vector_is_bounded(network: DetectorNetwork) -> None:
    with torch.no_grad():
        network.deep.weight.mul_(1e3)
    z, mask, features, direction = given()
    features[:, -1] = -50.0  # at the centre of the users
    *_, added = (part.detach() for part in parts_of(network, (z, mask, features, direction)))
    assert float(added.abs().max()) <= CONFIG.deep_bound * (1 + 1e-12)
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


def perceptron(layers: Any, x: Array) -> Array:
    """Compute a network of one hidden layer; dropout in between acts in training alone."""
    return linear(layers[-1], silu(linear(layers[0], x)))


def normalised(layer: Any, x: Array) -> Array:
    scaled = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + layer.eps)
    return np.asarray(scaled * layer.weight.detach().numpy() + layer.bias.detach().numpy())


def residual(stage: Residual, h: Array) -> Array:
    return h + convolved(stage.conv2, silu(convolved(stage.conv1, silu(normalised(stage.norm, h)))))


def by_definition(network: DetectorNetwork, z: Array, features: Array, direction: Array) -> list[Array]:
    """Compute the outputs of one movement without padding, step by step."""
    trunk: Any = network.trunk
    first, _, second = trunk.features
    pooled = [linear(second, silu(linear(first, features)))]
    h = convolved(trunk.stem, z)
    for level, stage in enumerate(trunk.stages):
        h = residual(stage, convolved(trunk.downs[level - 1], h) if level else h)
        pooled += [h.mean(axis=0), h.max(axis=0)]
    norm, _, fuse, _ = trunk.fuse
    fused = silu(linear(fuse, normalised(norm, np.concatenate(pooled))))
    met = 1.0 / (1.0 + np.exp((features[-1] - CONFIG.reach) / FADE))
    deep = CONFIG.deep_bound * np.tanh(linear(network.deep, fused) / CONFIG.deep_bound) * met
    shallow = perceptron(network.shallow, features)
    task = perceptron(network.task, np.concatenate([features, direction]))
    return [linear(network.wide, features) + shallow + deep, task, perceptron(network.embodiment, fused)]


def test_the_outputs_are_those_of_the_definition_in_plain_loops(network: DetectorNetwork) -> None:
    """Of a row amid longer ones, whose stages end on odd numbers of steps; norms and biases that are not trivial."""
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
    z, mask, *rest = given(steps=19)
    outputs = network(z, mask, *rest)
    for row, length in enumerate(LENGTHS):
        expected = by_definition(network, z[row, :length].numpy(), *(part[row].numpy() for part in rest))
        for part, wanted in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(part[row].detach().numpy().reshape(-1), wanted, rtol=0, atol=1e-12)


def test_the_stages_widen_from_the_finest_on() -> None:
    assert DetectorModelConfig(width=32).widths == (32, 48, 64)
    assert CONFIG.widths == (4, 6, 8)
