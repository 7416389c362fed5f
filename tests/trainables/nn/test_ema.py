"""Properties of the averaged weights: their formula, and what they leave alone."""

import pytest
import torch
from torch import Tensor, nn

from trainables.nn.ema import ExponentialMovingAverage, gamma_of, power_function, warmed_up


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


def test_the_warm_up_ends_where_it_says() -> None:
    law = warmed_up(0.999)
    assert law(8_989) < law(8_990) == law(50_000) == 0.999


def profile(width: float, steps: int) -> list[float]:
    """Share of the weights of each step in the average after `steps` updates, by the recursion in plain loops."""
    law, shares = power_function(width), [1.0]  # of the weights at the beginning
    for update in range(steps):
        decay = law(update)
        shares = [decay * share for share in shares] + [1.0 - decay]
    return shares


@pytest.mark.parametrize("width", [0.02, 0.05, 0.1, 0.2, 0.28])
@pytest.mark.parametrize("steps", [2_000, 500])
def test_the_average_is_as_wide_as_the_training_is_long(width: float, steps: int) -> None:
    """Mean and standard deviation of the profile over its length, to what so few steps can show."""
    first, *shares = profile(width, steps)
    assert first == 0.0
    assert sum(shares) == pytest.approx(1.0, abs=1e-12)
    at = [(step + 1) / steps for step in range(steps)]
    mean = sum(share * x for share, x in zip(shares, at, strict=True))
    std = sum(share * (x - mean) ** 2 for share, x in zip(shares, at, strict=True)) ** 0.5
    assert std == pytest.approx(width, rel=0.01)
    gamma = gamma_of(width)
    assert mean == pytest.approx((gamma + 1) / (gamma + 2), abs=2 / steps)
    assert shares[steps // 2 - 1] / shares[-1] == pytest.approx(0.5**gamma, rel=0.02 * (1 + gamma))


@pytest.mark.parametrize("width", [0.01, 0.1, 0.25, 0.28])
def test_the_exponent_has_the_width(width: float) -> None:
    gamma = gamma_of(width)
    assert gamma >= 0
    assert ((gamma + 1) ** 0.5) / ((gamma + 2) * (gamma + 3) ** 0.5) == pytest.approx(width, rel=1e-9)


def test_the_average_follows_its_law() -> None:
    """Against the profile, for weights that take one value after the other."""
    model = nn.Linear(1, 1, bias=False).double()
    ema, values = ExponentialMovingAverage(model, power_function(0.1)), [float(n * n % 7) for n in range(30)]
    for value in values:
        nn.init.constant_(model.weight, value)
        ema.update(model)
    expected = sum(share * value for share, value in zip(profile(0.1, 30)[1:], values, strict=True))
    assert next(ema.model.parameters()).item() == pytest.approx(expected, rel=1e-9)
