"""Properties of the averaged weights: their formula, and what they leave alone."""

import pytest
import torch
from torch import Tensor, nn

from trainables.nn.ema import ExponentialMovingAverage


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()


def shake(model: nn.Module) -> None:
    """Other weights, and other buffers."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    model.train()
    model(torch.randn(8, 3, dtype=torch.float64))


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.999])
def test_the_average_is_its_formula(decay: float) -> None:
    model = network()
    ema = ExponentialMovingAverage(model, decay)
    expected = [[float(x) for x in w.flatten()] for w in weights(model)]
    for n in range(60):
        shake(model)
        ema.update(model)
        d = min(decay, (1 + n) / (10 + n))
        for mean, new in zip(expected, weights(model), strict=True):
            mean[:] = [d * a + (1 - d) * float(b) for a, b in zip(mean, new.flatten(), strict=True)]
    assert ema.updates == 60
    for found, mean in zip(weights(ema.model), expected, strict=True):
        assert found.flatten().tolist() == pytest.approx(mean, abs=1e-12)


def test_it_starts_as_a_copy_and_stays_apart() -> None:
    model = network()
    ema = ExponentialMovingAverage(model, 0.9)
    start = weights(model)
    assert all(map(torch.equal, weights(ema.model), start))
    shake(model)
    assert all(map(torch.equal, weights(ema.model), start))
    changed = weights(model)
    ema.update(model)
    assert all(map(torch.equal, weights(model), changed))


def test_constant_weights_stay_what_they_are() -> None:
    model = network()
    ema = ExponentialMovingAverage(model, 0.99)
    for _ in range(20):
        ema.update(model)
    for found, expected in zip(weights(ema.model), weights(model), strict=True):
        torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-15)


def test_buffers_are_copied_and_not_averaged() -> None:
    model = network()
    ema = ExponentialMovingAverage(model, 0.9)
    shake(model)
    ema.update(model)
    found, expected = dict(ema.model.named_buffers()), dict(model.named_buffers())
    assert found.keys() == expected.keys() >= {"1.running_mean", "1.num_batches_tracked"}
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_average_is_for_evaluation_and_takes_no_gradient() -> None:
    model = network().train()
    ema = ExponentialMovingAverage(model, 0.9)
    ema.update(model)
    assert not any(module.training for module in ema.model.modules())
    assert not any(parameter.requires_grad for parameter in ema.model.parameters())
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_with_warm_up_the_average_of_a_short_run_is_near_its_last_weights() -> None:
    """After ten steps to weights of 1 the warmed average is at 0.99, where a plain decay of 0.999 has gone 1 %."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    ema = ExponentialMovingAverage(model, 0.999)
    nn.init.ones_(model.weight)
    for _ in range(10):
        ema.update(model)
    assert 1 - 0.999**10 < 0.01
    assert next(ema.model.parameters()).item() > 0.99
