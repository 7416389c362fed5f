"""The loss of progressive distillation, against Gaussian data, whose exact denoiser is linear in x_t."""

import math

import pytest
import torch
from torch import Tensor

from trainables.data.dataset import Batch, Sequences
from trainables.diffusion.noise.schedule import SCHEDULES, Schedule, cosine_schedule, diffuse
from trainables.diffusion.samplers import Velocity, ddim, trailing_times
from trainables.distillation.objective import (
    WEIGHTINGS,
    distillation_loss,
    distillation_target,
    implied_data,
    levels_of,
)

STD = 0.5  # of the data
SCHEDULE = cosine_schedule()


def slope(alpha: float, sigma: float) -> float:
    """v = slope x_t of Gaussian data: E[x_0 | x_t] = alpha STD^2 x_t / (alpha^2 STD^2 + sigma^2)."""
    data = alpha * STD**2 / (alpha**2 * STD**2 + sigma**2)
    return (alpha - data) / sigma


def exact(schedule: Schedule, times: Tensor) -> dict[int, float]:
    """The slope of the exact denoiser at each diffusion time."""
    return {t: slope(float(schedule.alpha[t]), float(schedule.sigma[t])) for t in times.tolist()}


def linear(slopes: dict[int, float]) -> Velocity:
    def velocity(x_t: Tensor, t: Tensor, estimate: Tensor | None) -> Tensor:
        return torch.tensor([slopes[each] for each in t.tolist()], dtype=x_t.dtype)[:, None, None] * x_t

    return velocity


def halved(schedule: Schedule, times: Tensor, slopes: dict[int, float]) -> dict[int, float]:
    """The slopes of a perfect student, by plain arithmetic: its step is two of its parent's, for x_t = 1."""
    found, levels = {}, [(float(schedule.alpha[t]), float(schedule.sigma[t])) for t in times.tolist()]
    levels.append((1.0, 0.0))
    for first in range(0, len(times), 2):
        x = 1.0
        for call in (first, first + 1):
            (alpha, sigma), (after_alpha, after_sigma) = levels[call : call + 2]
            v = slopes[int(times[call])] * x
            x = after_alpha * (alpha * x - sigma * v) + after_sigma * (sigma * x + alpha * v)
        (alpha, sigma), (after_alpha, after_sigma) = levels[first], levels[first + 2]
        # after_alpha (alpha - sigma v) + after_sigma (sigma + alpha v) = x, solved for v
        v = (x - after_alpha * alpha - after_sigma * sigma) / (after_sigma * alpha - after_alpha * sigma)
        found[int(times[first])] = v
    return found


@pytest.mark.parametrize("timesteps", [64, 100, 999, 1000])
def test_half_the_calls_are_made_at_every_second_time(timesteps: int) -> None:
    schedule = cosine_schedule(timesteps)
    for calls in range(1, timesteps // 2 + 1):
        times = trailing_times(schedule, 2 * calls, timesteps - 1)
        assert torch.equal(trailing_times(schedule, calls, timesteps - 1), times[::2])


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_a_student_that_meets_its_targets_samples_as_its_teacher_down_to_one_call(name: str) -> None:
    schedule = SCHEDULES[name]()
    noise = torch.randn(4, 6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    times = trailing_times(schedule, 16, len(schedule) - 1)
    slopes = exact(schedule, times)
    expected = ddim(linear(slopes), schedule, noise, times)
    assert float((expected - STD * noise).abs().max()) > 0.05  # sixteen steps are no exact solution
    for calls in (8, 4, 2, 1):
        slopes = halved(schedule, times, slopes)
        times = trailing_times(schedule, calls, len(schedule) - 1)
        torch.testing.assert_close(ddim(linear(slopes), schedule, noise, times), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("calls", [1, 3, 8])
def test_the_target_of_every_call_is_the_data_of_the_perfect_student(calls: int) -> None:
    times = trailing_times(SCHEDULE, 2 * calls, len(SCHEDULE) - 1)
    slopes = exact(SCHEDULE, times)
    student, call = halved(SCHEDULE, times, slopes), torch.arange(calls)
    x_t = torch.randn(calls, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    levels = levels_of(SCHEDULE, times)
    found = distillation_target(linear(slopes), levels, times, x_t, call)
    alpha, sigma = (values[times[::2]][:, None, None] for values in (SCHEDULE.alpha, SCHEDULE.sigma))
    expected = alpha * x_t - sigma * linear(student)(x_t, times[::2], None)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)  # levels are float32
    assert float(expected.abs().max()) > 0.1


def test_the_implied_data_are_those_of_a_single_step() -> None:
    """For any point, at any two levels, the last of them the data."""
    x_t, x_s = torch.randn(2, 3, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).unbind(0)
    for angle, after in ((1.5, 1.2), (0.9, 0.1), (0.4, 0.0)):
        alpha_t, sigma_t, alpha_s, sigma_s = math.cos(angle), math.sin(angle), math.cos(after), math.sin(after)
        x_0 = implied_data(x_t, x_s, alpha_t, sigma_t, alpha_s, sigma_s)
        eps = (x_t - alpha_t * x_0) / sigma_t
        torch.testing.assert_close(diffuse(x_0, eps, alpha_s, sigma_s), x_s, rtol=0, atol=1e-9)


def a_batch(lengths: tuple[int, ...] = (6, 3, 1, 6)) -> tuple[Batch, Tensor]:
    random, rows = torch.Generator().manual_seed(3), len(lengths)
    z, eps = STD * torch.randn(rows, 6, 2, generator=random), torch.randn(rows, 6, 2, generator=random)
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    return Batch(Sequences(z, mask), torch.zeros(rows, 3)), eps


def loss_of(batch: Batch, eps: Tensor, slopes: dict[int, float], weighting: str, weight: Tensor | None = None) -> float:
    """The loss of a linear student against the exact denoiser, four calls to two."""
    times = trailing_times(SCHEDULE, 4, len(SCHEDULE) - 1)
    parent, student = linear(exact(SCHEDULE, times)), linear(slopes)
    call = torch.tensor([0, 1, 1, 0])
    found = distillation_loss(
        lambda x, t, mask, condition, drop, estimate: student(x, t, estimate),
        lambda mask, condition: parent,
        SCHEDULE,
        times,
        batch,
        eps,
        call,
        weighting,
        weight,
    )
    return float(found)


@pytest.mark.parametrize("weighting", list(WEIGHTINGS))
def test_the_loss_is_zero_for_the_perfect_student_and_the_definition_for_another(weighting: str) -> None:
    times = trailing_times(SCHEDULE, 4, len(SCHEDULE) - 1)
    perfect, (batch, eps) = halved(SCHEDULE, times, exact(SCHEDULE, times)), a_batch()
    assert loss_of(batch, eps, perfect, weighting) < 1e-9
    other = {t: each + 0.2 for t, each in perfect.items()}
    expected, (z, mask) = [], batch.sequences
    for row, call in enumerate((0, 1, 1, 0)):
        t = int(times[2 * call])
        alpha, sigma = float(SCHEDULE.alpha[t]), float(SCHEDULE.sigma[t])
        snr = alpha**2 / sigma**2
        weight = {"truncated_snr": max(snr, 1.0), "snr_plus_one": snr + 1.0}[weighting]
        errors = []
        for step in range(int(mask[row].sum())):
            for channel in range(2):
                x_t = alpha * float(z[row, step, channel]) + sigma * float(eps[row, step, channel])
                errors.append((sigma * 0.2 * x_t) ** 2)  # of x_0; the velocities differ by 0.2 x_t
        expected.append(weight * sum(errors) / len(errors))
    assert loss_of(batch, eps, other, weighting) == pytest.approx(sum(expected) / 4, rel=1e-4)
    row_weight = torch.tensor([1.0, 0.0, 0.5, 2.0])
    weighed = sum(each * factor for each, factor in zip(expected, row_weight.tolist(), strict=True)) / 4
    assert loss_of(batch, eps, other, weighting, row_weight) == pytest.approx(weighed, rel=1e-4)


def test_nothing_under_the_mask_changes_the_loss() -> None:
    (batch, eps), slopes = a_batch(), dict.fromkeys(range(1000), 0.3)
    z, mask = batch.sequences
    junk = Batch(Sequences(z.masked_fill(~mask[..., None], 7.0), mask), batch.condition)
    for weighting in WEIGHTINGS:
        assert loss_of(junk, eps, slopes, weighting) == loss_of(batch, eps, slopes, weighting) > 0
