"""Laws of the samplers: exact where the answer is known in closed form, and row by row."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.config import ConfigError
from trainables.diffusion.noise.schedule import Schedule, cosine_schedule
from trainables.diffusion.samplers import SAMPLERS, Velocity, ddim, guided, initial_noise, trailing_times

SCHEDULE = cosine_schedule(1000)
ORDERS = {"ddim": 1}  # of convergence; a new sampler states its own here
samplers = pytest.mark.parametrize("name", list(SAMPLERS))
spreads = pytest.mark.parametrize("s", [0.1, 0.5, 2.0])


def gaussian_velocity(schedule: Schedule, s: float) -> Velocity:
    """The best possible prediction for data N(0, s^2).

    E[x_0 | x_t] = alpha s^2 x_t / D and E[eps | x_t] = sigma x_t / D with D = alpha^2 s^2 + sigma^2, the variance of
    x_t, so that v = alpha sigma (1 - s^2) x_t / D.
    """

    def velocity(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule.alpha[t][:, None, None], schedule.sigma[t][:, None, None]
        return alpha * sigma * (1 - s**2) * x_t / (alpha**2 * s**2 + sigma**2)

    return velocity


def exact(schedule: Schedule, s: float, x_t: Tensor) -> Tensor:
    """The probability flow keeps every quantile: x_0 = s x_T / sqrt(D_T)."""
    alpha, sigma = float(schedule.alpha[-1]), float(schedule.sigma[-1])
    return s * x_t / math.sqrt(alpha**2 * s**2 + sigma**2)


def start(count: int = 4) -> Tensor:
    return initial_noise(count, 6, 2, seed=0).double()


# DDIM against the closed form


@spreads
@pytest.mark.parametrize("steps", [1, 3, 20, 1000])
def test_ddim_is_its_definition_step_by_step(s: float, steps: int) -> None:
    """On Gaussian data a step from t to s scales by (alpha_s alpha_t s^2 + sigma_s sigma_t) / D_t, the last to x_0."""
    found = ddim(gaussian_velocity(SCHEDULE, s), SCHEDULE, start(), steps)
    times = [round((steps - k) * 1000 / steps) - 1 for k in range(steps)]
    factor = 1.0
    for t, following in zip(times, [*times[1:], None], strict=True):
        a, b = float(SCHEDULE.alpha[t]), float(SCHEDULE.sigma[t])
        a_next, b_next = (
            (1.0, 0.0) if following is None else (float(x[following]) for x in (SCHEDULE.alpha, SCHEDULE.sigma))
        )
        factor *= (a_next * a * s**2 + b_next * b) / (a**2 * s**2 + b**2)
    torch.testing.assert_close(found, factor * start(), rtol=1e-9, atol=1e-12)


@samplers
@spreads
def test_the_error_falls_with_the_stated_order(name: str, s: float) -> None:
    """The slope of log error over log steps, against the exact solution for Gaussian data; more steps never hurt."""
    steps = [20, 25, 40, 50, 100, 125]  # divisors of 1000: equal spacing without rounding
    model, x_t = gaussian_velocity(SCHEDULE, s), start()
    errors = [float((SAMPLERS[name](model, SCHEDULE, x_t, n) - exact(SCHEDULE, s, x_t)).norm()) for n in steps]
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert -slope == pytest.approx(ORDERS[name], abs=0.15)
    assert errors == sorted(errors, reverse=True)


@samplers
@spreads
def test_all_steps_together_reach_the_exact_solution(name: str, s: float) -> None:
    found = SAMPLERS[name](gaussian_velocity(SCHEDULE, s), SCHEDULE, start(), 1000)
    torch.testing.assert_close(found, exact(SCHEDULE, s, start()), rtol=0.02, atol=0.0)


@samplers
def test_a_single_data_point_is_reached_in_any_number_of_steps(name: str) -> None:
    """If all data are one sequence, x_0 is known from the first call on: x_t = alpha x_0 + sigma eps gives v."""
    target = torch.randn(1, 6, 2, generator=torch.Generator().manual_seed(1)).double()

    def velocity(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = SCHEDULE.alpha[t][:, None, None], SCHEDULE.sigma[t][:, None, None]
        return (alpha * x_t - target) / sigma

    for steps in (1, 2, 7, 50):
        found = SAMPLERS[name](velocity, SCHEDULE, start(), steps)
        torch.testing.assert_close(found, target.expand_as(found), rtol=0.0, atol=1e-6)


@samplers
def test_the_network_is_called_once_per_step_at_falling_times(name: str) -> None:
    seen: list[list[int]] = []

    def velocity(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append(t.tolist())
        return torch.zeros_like(x_t)

    SAMPLERS[name](velocity, SCHEDULE, start(3), 12)
    assert all(len(set(row)) == 1 and len(row) == 3 for row in seen)
    assert [row[0] for row in seen] == trailing_times(1000, 12).tolist()


@samplers
def test_a_sample_does_not_depend_on_its_batch_mates(name: str) -> None:
    model, x_t = gaussian_velocity(SCHEDULE, 0.5), start(5)
    together = SAMPLERS[name](model, SCHEDULE, x_t, 10)
    alone = torch.cat([SAMPLERS[name](model, SCHEDULE, row[None], 10) for row in x_t])
    torch.testing.assert_close(together, alone, rtol=0.0, atol=1e-14)


@samplers
def test_sampling_draws_nothing_and_changes_nothing(name: str) -> None:
    torch.manual_seed(2)
    state, x_t = torch.get_rng_state(), start()
    SAMPLERS[name](gaussian_velocity(SCHEDULE, 0.5), SCHEDULE, x_t, 5)
    assert torch.equal(x_t, start())
    assert torch.equal(torch.get_rng_state(), state)


# times


@pytest.mark.parametrize("timesteps", [1, 7, 10, 1000])
def test_times_go_from_the_last_one_down_in_equal_steps(timesteps: int) -> None:
    for steps in {1, 2, 3, 7, timesteps // 2, timesteps - 1, timesteps} - {0}:
        if steps > timesteps:
            continue
        times = trailing_times(timesteps, steps).tolist()
        assert times == [round(k * timesteps / steps) - 1 for k in range(steps, 0, -1)]
        assert times[0] == timesteps - 1
        assert times[-1] >= 0
        assert len(set(times)) == steps
        assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("steps", [0, 11, -1])
def test_impossible_numbers_of_steps_are_refused(steps: int) -> None:
    with pytest.raises(
        ConfigError, match=rf"^`1 <= steps <= timesteps` must hold, but got steps={steps}, timesteps=10"
    ):
        trailing_times(10, steps)


# noise


def test_the_noise_of_a_row_depends_on_seed_and_number_alone() -> None:
    all_rows = initial_noise(200, 6, 2, seed=5)
    for count in (1, 3, 128):
        assert torch.equal(initial_noise(count, 6, 2, seed=5), all_rows[:count])
    assert torch.equal(initial_noise(72, 6, 2, seed=5, first=128), all_rows[128:])
    assert not torch.equal(initial_noise(200, 6, 2, seed=6), all_rows)
    assert len({tuple(row.flatten().tolist()) for row in all_rows}) == 200
    assert initial_noise(0, 6, 2, seed=5).shape == (0, 6, 2)


def test_the_noise_is_normal() -> None:
    """24,000 values: mean and variance within 5 s.d. (false failure 6e-7 each), which noise of 1.05 times is not."""
    noise = initial_noise(200, 60, 2, seed=5)
    assert abs(float(noise.mean())) < 5 / 24_000**0.5
    for scale, holds in ((1.0, True), (1.05, False)):
        assert (abs(float((scale * noise).var()) - 1) < 5 * (2 / 24_000) ** 0.5) is holds


# guidance


def conditional_model(calls: list[bool]) -> object:
    """3 x_t where the condition is dropped, else 5 x_t plus the condition; it notes whether it was dropped."""

    def model(x_t: Tensor, t: Tensor, mask: Tensor, condition: Tensor | None, drop: Tensor | None) -> Tensor:
        calls.append(drop is not None and bool(drop.all()))
        assert condition is not None
        return 3 * x_t if calls[-1] else 5 * x_t + condition[:, None]

    return model


@pytest.mark.parametrize("w", [0.0, 0.5, 1.0, 2.0, -1.0])
def test_guidance_blends_free_and_conditional_prediction(w: float) -> None:
    calls: list[bool] = []
    mask, condition, x_t = torch.ones(4, 6, dtype=torch.bool), torch.randn(4, 2).double(), start()
    velocity = guided(conditional_model(calls), mask, condition, w)  # type: ignore[arg-type]
    found = velocity(x_t, torch.full((4,), 3))
    free, conditional = 3 * x_t, 5 * x_t + condition[:, None]
    torch.testing.assert_close(found, (1 - w) * free + w * conditional, rtol=1e-12, atol=1e-12)
    assert calls == ([False] if w == 1.0 else [False, True])


def test_guidance_one_is_the_conditional_model_exactly() -> None:
    mask, condition, x_t = torch.ones(4, 6, dtype=torch.bool), torch.randn(4, 2).double(), start()
    velocity = guided(conditional_model([]), mask, condition, 1.0)  # type: ignore[arg-type]
    assert torch.equal(velocity(x_t, torch.full((4,), 3)), 5 * x_t + condition[:, None])
