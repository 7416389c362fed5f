"""Diffusion times of a training: their definition, and their distribution."""

import math
from itertools import pairwise

import pytest
import torch
from scipy.stats import chisquare, norm

from trainables.diffusion.noise.config import NoiseConfig
from trainables.diffusion.noise.schedule import SCHEDULES, Schedule, cosine_schedule
from trainables.diffusion.noise.times import TIMES, LogSigma, lognormal_times
from trainables.diffusion.objective import Objective

EDM = LogSigma(-1.2, 1.2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def levels(schedule: Schedule) -> list[float]:
    return [math.log(float(sigma / alpha)) for alpha, sigma in zip(schedule.alpha, schedule.sigma, strict=True)]


def probabilities(schedule: Schedule, mean: float, std: float) -> list[float]:
    """Of every time: the normal probability of what lies closer to its ln sigma than to that of any other."""
    ends = [-math.inf, *((a + b) / 2 for a, b in pairwise(levels(schedule))), math.inf]
    return [float(norm.cdf(high, mean, std) - norm.cdf(low, mean, std)) for low, high in pairwise(ends)]


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("timesteps", [1, 2, 30, 1000])
def test_each_time_is_the_nearest_in_log_sigma(name: str, timesteps: int) -> None:
    schedule = SCHEDULES[name](timesteps)
    found = lognormal_times(schedule, 200, seeded(), EDM).tolist()
    drawn = (-1.2 + 1.2 * torch.randn(200, generator=seeded(), dtype=torch.float64)).tolist()
    distance = [[abs(level - u) for level in levels(schedule)] for u in drawn]
    assert found == [row.index(min(row)) for row in distance]


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_times_have_a_log_normal_sigma(name: str) -> None:
    """Null: p > 1e-4 of 20,000 draws (the false-failure rate). Alternatives: mean or spread off by 0.1 fall below."""
    schedule = SCHEDULES[name](12)
    counts = torch.bincount(lognormal_times(schedule, 20_000, seeded(1), EDM), minlength=12).double()

    def p_value(mean: float, std: float) -> float:
        expected = torch.tensor(probabilities(schedule, mean, std), dtype=torch.float64) * 20_000
        rare = expected < 5  # in a cell of their own
        observed, law = (torch.cat([of[~rare], of[rare].sum()[None] + 5]).tolist() for of in (counts, expected))
        return float(chisquare(observed, law).pvalue)

    assert p_value(*EDM) > 1e-4
    assert p_value(-1.1, 1.2) < 1e-4
    assert p_value(-1.2, 1.3) < 1e-4


def test_noise_beyond_the_schedule_falls_on_its_ends() -> None:
    schedule = cosine_schedule(10)
    assert lognormal_times(schedule, 50, seeded(), LogSigma(-5.0, 1e-3)).tolist() == [0] * 50
    assert lognormal_times(schedule, 50, seeded(), LogSigma(5.0, 1e-3)).tolist() == [9] * 50


@pytest.mark.parametrize("times", list(TIMES))
def test_times_are_those_of_the_generator_and_leave_the_weights_as_configured(times: str) -> None:
    schedule = cosine_schedule(100)
    one, same, other = (TIMES[times](schedule, 64, seeded(seed), EDM) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    config = NoiseConfig(timesteps=100, times=times)
    plain = Objective.of(NoiseConfig(timesteps=100))
    assert torch.equal(Objective.of(config).weight(one), plain.weight(one))
    assert float(plain.weight(one).std()) > 0.0
