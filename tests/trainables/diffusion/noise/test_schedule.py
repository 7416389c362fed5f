"""Properties of the noise schedule, for every schedule that there is, and the published formula of the cosine one."""

import math

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.diffusion.noise.schedule import (
    PREDICTIONS,
    SCHEDULES,
    cosine_schedule,
    diffuse,
    linear_schedule,
    schedule_of,
    signal_and_noise,
    velocity,
)

schedules = pytest.mark.parametrize("name", list(SCHEDULES))
lengths = pytest.mark.parametrize("timesteps", [1, 2, 10, 1000, 4000])


@schedules
@lengths
def test_variance_is_preserved(name: str, timesteps: int) -> None:
    schedule = SCHEDULES[name](timesteps)
    assert len(schedule) == timesteps
    total = schedule.alpha.square() + schedule.sigma.square()
    torch.testing.assert_close(total, torch.ones(timesteps).double(), rtol=0.0, atol=1e-14)
    assert bool((schedule.alpha > 0).all())
    assert bool((schedule.sigma > 0).all())


@schedules
@lengths
def test_the_signal_to_noise_ratio_falls_strictly(name: str, timesteps: int) -> None:
    schedule = SCHEDULES[name](timesteps)
    snr = schedule.snr()
    assert bool((snr.diff() < 0).all())
    for t in range(0, timesteps, max(timesteps // 7, 1)):
        expected = float(schedule.alpha[t]) ** 2 / float(schedule.sigma[t]) ** 2
        assert float(snr[t]) == pytest.approx(expected, rel=1e-12)


@schedules
def test_the_first_step_hardly_and_the_last_almost_fully_destroys(name: str) -> None:
    snr = SCHEDULES[name](1000).snr()
    assert float(snr[0]) > 1e3
    assert float(snr[-1]) < 1e-4


@pytest.mark.parametrize("timesteps", [10, 1000])
def test_alpha_bar_of_the_cosine_schedule_is_the_papers(timesteps: int) -> None:
    """alpha_bar_t = f(t) / f(0), f(t) = cos^2((t/T + s) / (1 + s) pi/2) at t = 1..T, until the clipped last beta."""
    schedule = cosine_schedule(timesteps)

    def f(t: int) -> float:
        return math.cos((t / timesteps + 0.008) / 1.008 * math.pi / 2) ** 2

    for t in range(1, timesteps):
        assert 1 - f(t) / f(t - 1) < 0.999
        assert float(schedule.alpha[t - 1]) ** 2 == pytest.approx(f(t) / f(0), rel=1e-9)
    clipped = f(timesteps - 1) / f(0) * (1 - 0.999)
    assert float(schedule.alpha[-1]) ** 2 == pytest.approx(clipped, rel=1e-9)


def test_no_beta_is_above_its_limit() -> None:
    alpha_bar = cosine_schedule(1000).alpha.square()
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    assert float(beta.max()) == pytest.approx(0.999, abs=1e-12)


@schedules
def test_signal_and_noise_are_recovered_from_noisy_sequence_and_velocity_at_every_t(name: str) -> None:
    schedule = SCHEDULES[name](1000)
    random = torch.Generator().manual_seed(0)
    x_0, eps = (torch.randn(1000, 3, 2, generator=random).double() for _ in range(2))
    alpha_t, sigma_t = schedule.alpha[:, None, None], schedule.sigma[:, None, None]
    x_t, v = diffuse(x_0, eps, alpha_t, sigma_t), velocity(x_0, eps, alpha_t, sigma_t)
    signal, noise = signal_and_noise(x_t, v, alpha_t, sigma_t)
    torch.testing.assert_close(signal, x_0, rtol=0.0, atol=1e-13)
    torch.testing.assert_close(noise, eps, rtol=0.0, atol=1e-13)
    torch.testing.assert_close(x_t**2 + v**2, x_0**2 + eps**2, rtol=1e-13, atol=1e-13)


def test_velocity_is_the_derivative_along_the_angle() -> None:
    """With alpha = cos phi and sigma = sin phi: v = d x_t / d phi."""
    phi = torch.linspace(0.0, 1.5, 7, dtype=torch.float64)
    x_0, eps, step = torch.full_like(phi, 1.7), torch.full_like(phi, -0.4), 1e-5
    before, after = (diffuse(x_0, eps, at.cos(), at.sin()) for at in (phi - step, phi + step))
    found = velocity(x_0, eps, phi.cos(), phi.sin())
    torch.testing.assert_close(found, (after - before) / (2 * step), rtol=0.0, atol=1e-9)


def test_velocity_is_the_preconditioning_of_edm_for_unit_variance() -> None:
    """D = c_skip x + c_out F(c_in x) with F = -v, and lambda |D - y|^2 = |v - v_hat|^2 (Karras et al., table 1)."""
    schedule, random = cosine_schedule(1000), torch.Generator().manual_seed(0)
    y, n, v_hat = (torch.randn(1000, 3, 2, generator=random, dtype=torch.float64) for _ in range(3))
    alpha_t, sigma_t = schedule.alpha[:, None, None], schedule.sigma[:, None, None]
    sigma, sigma_data = sigma_t / alpha_t, 1.0
    c_skip = sigma_data**2 / (sigma**2 + sigma_data**2)
    c_out = sigma * sigma_data / (sigma_data**2 + sigma**2).sqrt()
    c_in = 1 / (sigma**2 + sigma_data**2).sqrt()
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    x, x_t = y + sigma * n, diffuse(y, n, alpha_t, sigma_t)
    torch.testing.assert_close(c_in * x, x_t, rtol=0.0, atol=1e-9)
    denoised = c_skip * x + c_out * -v_hat
    torch.testing.assert_close(denoised, signal_and_noise(x_t, v_hat, alpha_t, sigma_t)[0], rtol=0.0, atol=1e-9)
    v = PREDICTIONS["v"].target(y, n, alpha_t, sigma_t)
    torch.testing.assert_close(weight * (denoised - y) ** 2, (v - v_hat) ** 2, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close((y - c_skip * x) / c_out, -v, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("timesteps", [1, 10, 1000])
def test_the_linear_schedule_is_the_straight_path_at_unit_variance(timesteps: int) -> None:
    schedule = linear_schedule(timesteps)
    for t in range(timesteps):
        s = (t + 0.5) / timesteps
        norm = math.sqrt((1 - s) ** 2 + s**2)
        assert float(schedule.alpha[t]) == pytest.approx((1 - s) / norm, rel=1e-12)
        assert float(schedule.sigma[t]) == pytest.approx(s / norm, rel=1e-12)


@schedules
@pytest.mark.parametrize("kind", ["v", "flow"])
def test_the_data_are_recovered_from_every_prediction_at_every_t(name: str, kind: str) -> None:
    schedule, prediction, random = SCHEDULES[name](1000), PREDICTIONS[kind], torch.Generator().manual_seed(0)
    x_0, eps = (torch.randn(1000, 3, 2, generator=random, dtype=torch.float64) for _ in range(2))
    alpha_t, sigma_t = schedule.alpha[:, None, None], schedule.sigma[:, None, None]
    x_t, output = diffuse(x_0, eps, alpha_t, sigma_t), prediction.target(x_0, eps, alpha_t, sigma_t)
    v = prediction.velocity(x_t, output, alpha_t, sigma_t)
    torch.testing.assert_close(signal_and_noise(x_t, v, alpha_t, sigma_t)[0], x_0, rtol=0.0, atol=1e-13)


def test_flow_is_the_derivative_along_the_straight_path() -> None:
    """u = d/ds ((1 - s) x_0 + s eps), the path before it is scaled to unit variance."""
    s, step = torch.linspace(0.1, 0.9, 7, dtype=torch.float64), 1e-5
    x_0, eps = torch.full_like(s, 1.7), torch.full_like(s, -0.4)
    before, after = (diffuse(x_0, eps, 1 - at, at) for at in (s - step, s + step))
    norm = torch.hypot(1 - s, s)
    found = PREDICTIONS["flow"].target(x_0, eps, (1 - s) / norm, s / norm)
    torch.testing.assert_close(found, (after - before) / (2 * step), rtol=0.0, atol=1e-9)


@schedules
def test_a_schedule_is_made_once(name: str) -> None:
    assert schedule_of(name, 50) is schedule_of(name, 50)
    assert torch.equal(schedule_of(name, 50).alpha, SCHEDULES[name](50).alpha)


@schedules
def test_each_row_gets_its_own_time_in_float32(name: str) -> None:
    schedule = SCHEDULES[name](50)
    t = torch.tensor([0, 49, 7, 7])
    alpha_t, sigma_t = schedule.at(t)
    for found, values in ((alpha_t, schedule.alpha), (sigma_t, schedule.sigma)):
        assert found.dtype == torch.float32
        assert found.shape == (4, 1, 1)
        assert found.flatten().tolist() == [float(values[i].float()) for i in t.tolist()]


@schedules
def test_a_schedule_has_a_step(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^expected `timesteps >= 1`, but got 0"):
        SCHEDULES[name](0)
