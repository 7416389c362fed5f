"""Diffusion times of a training: at which noise levels of a schedule the network learns."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from trainables.diffusion.noise.schedule import Schedule


class LogSigma(NamedTuple):
    """Normal distribution of ln sigma, with sigma = sigma_t / alpha_t."""

    mean: float
    std: float


def uniform_times(schedule: Schedule, count: int, random: torch.Generator, _: LogSigma) -> Int[Tensor, "B"]:
    """Return `count` times, each of the schedule equally likely."""
    return torch.randint(len(schedule), (count,), generator=random)


def lognormal_times(schedule: Schedule, count: int, random: torch.Generator, log_sigma: LogSigma) -> Int[Tensor, "B"]:
    """Return `count` times, each the nearest in ln sigma to a draw of `log_sigma`.

    A time has the probability of the half-way interval around its ln sigma; the first and the last one, which take
    what lies beyond the schedule as well, that of a half-line.

    References: Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022), section 5 and
        table 1 (ln sigma ~ N(-1.2, 1.2^2)), arXiv:2206.00364.
    """
    drawn = log_sigma.mean + log_sigma.std * torch.randn(count, generator=random, dtype=torch.float64)
    level = -schedule.log_snr()
    return torch.bucketize(drawn, (level[1:] + level[:-1]) / 2)


TIMES: dict[str, Callable[[Schedule, int, torch.Generator, LogSigma], Tensor]] = {
    "uniform": uniform_times,
    "lognormal": lognormal_times,
}
