"""The training loss: masked denoising error, plus a ranking term that ties the prediction to its condition.

L = mean_b w(t_b) |target - output|^2 summed over valid (T, C) / (valid steps * C)  +  weight * ranking(d_pos, d_neg)

The target is v, eps or eps - x_0; w is the min-SNR weight, per row and before the mean. With self-conditioning the
chosen rows first get an estimate of x_0 without gradient and then see it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.contrastive.ranking import squared_distance
from trainables.data.dataset import Batch, shared
from trainables.diffusion.noise.config import NoiseConfig
from trainables.diffusion.noise.schedule import (
    PREDICTIONS,
    Prediction,
    Schedule,
    diffuse,
    schedule_of,
    signal_and_noise,
)
from trainables.diffusion.noise.times import TIMES, LogSigma
from trainables.diffusion.ranking_config import ContrastiveConfig
from trainables.diffusion.ranking_term import Inputs, Negatives, predict, ranking_term

Denoiser = Callable[..., Tensor]
"""The network: the parts of `Inputs`, in their order -> output [B,T,C]."""


@dataclass(frozen=True, eq=False)
class Objective:
    """Diffusion objective of a `NoiseConfig`: schedule, prediction type, and gamma of the min-SNR weights."""

    schedule: Schedule
    prediction: Prediction
    gamma: float = 0.0

    @classmethod
    def of(cls, config: NoiseConfig) -> "Objective":
        """Look the names up."""
        schedule = schedule_of(config.schedule, config.timesteps)
        return cls(schedule, PREDICTIONS[config.objective], config.min_snr_gamma)

    def weight(self, t: Int[Tensor, "B"]) -> Float[Tensor, "B"]:
        """Min-SNR weight of each row; 1 at gamma 0."""
        if self.gamma == 0.0:
            return torch.ones(len(t), device=t.device)
        return self.prediction.weight(self.schedule.snr().to(t.device)[t], self.gamma).float()


class StepRandomness(NamedTuple):
    """The randomness of one training step, drawn for the whole batch before any worker takes its rows.

    Attributes:
        estimated: Rows that see their own estimate of x_0.
        negatives: Conditions that the first rows are ranked against, if there is a ranking term.
    """

    t: Int[Tensor, "B"]
    eps: Float[Tensor, "B T C"]
    drop_condition: Bool[Tensor, "B"]
    estimated: Bool[Tensor, "B"]
    negatives: Negatives | None = None


class Loss(NamedTuple):
    """The total to differentiate, and its parts for the log."""

    total: Float[Tensor, ""]
    denoising: Float[Tensor, ""]
    ranking: Float[Tensor, ""] | None
    ranking_accuracy: Float[Tensor, ""] | None


def sample_randomness(
    batch: Batch, config: NoiseConfig, random: torch.Generator, *, estimates: bool = False
) -> StepRandomness:
    """Diffusion times, Gaussian noise, and which rows forget their condition or see an estimate."""
    z = batch.sequences.z
    schedule = schedule_of(config.schedule, config.timesteps)
    t = TIMES[config.times](schedule, len(z), random, LogSigma(config.log_sigma_mean, config.log_sigma_std))
    eps = torch.randn(z.shape, generator=random)
    drop = torch.rand(len(z), generator=random) < config.condition_dropout
    none = torch.zeros(len(z), dtype=torch.bool)
    estimated = torch.rand(len(z), generator=random) < config.estimate_share if estimates else none
    return StepRandomness(t.to(z.device), eps.to(z.device), drop.to(z.device), estimated.to(z.device))


def shard(
    batch: Batch, drawn: StepRandomness, index: int, count: int, device: torch.device
) -> tuple[Batch, StepRandomness]:
    """Rows index, index + count, ... of a batch and of its randomness, on a device."""
    t, eps, drop, estimated = (part[index::count].to(device) for part in drawn[:4])
    negatives = None if drawn.negatives is None else drawn.negatives.shard(index, count, device)
    return shared(batch, index, count, device), StepRandomness(t, eps, drop, estimated, negatives)


def denoising_loss(
    target: Float[Tensor, "B T C"], predicted: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B"]:
    """Mean squared error of each row over its valid steps and channels."""
    return squared_distance(target, predicted, mask) / (mask.sum(dim=1) * target.shape[-1])


def diffusion_loss(
    model: Denoiser,
    objective: Objective,
    batch: Batch,
    drawn: StepRandomness,
    config: ContrastiveConfig,
    mean: Callable[[Tensor], Tensor] = lambda value: value,
    row_weight: Float[Tensor, "B"] | None = None,
) -> Loss:
    """The whole loss of one batch.

    Args:
        mean: The mean of a number over all workers, so that the distances of all have one unit.
        row_weight: Factor of each row's denoising error; the ranking term knows none.
    """
    alpha_t, sigma_t = objective.schedule.at(drawn.t)
    z, mask = batch.sequences
    x_t, target = diffuse(z, drawn.eps, alpha_t, sigma_t), objective.prediction.target(z, drawn.eps, alpha_t, sigma_t)
    inputs = Inputs(x_t, drawn.t, mask, batch.condition, drawn.drop_condition)
    inputs = inputs._replace(estimate=_estimate(model, objective, inputs, drawn.estimated))
    weight = objective.weight(drawn.t) if row_weight is None else objective.weight(drawn.t) * row_weight
    if drawn.negatives is None:
        loss = (weight * denoising_loss(target, model(*inputs), mask)).mean()
        return Loss(loss, loss.detach(), None, None)
    predicted, contrasted = predict(model, inputs, drawn.negatives, config.detach_negatives)
    error = squared_distance(target, predicted, mask)
    denoising = (weight * error / (mask.sum(dim=1) * z.shape[-1])).mean()
    ranked = slice(len(drawn.negatives.valid))
    ranking, accuracy = ranking_term(
        target[ranked],
        mask[ranked],
        predicted[ranked],
        contrasted,
        drawn.negatives,
        config,
        mean(error.detach().mean()),
    )
    ranked_any = bool(drawn.negatives.valid.any())
    total = denoising + config.step_weight * ranking
    return Loss(total, denoising.detach(), ranking.detach(), accuracy if ranked_any else None)


@torch.no_grad()
def _estimate(
    model: Denoiser, objective: Objective, inputs: Inputs, chosen: Bool[Tensor, "B"]
) -> Float[Tensor, "B T C"] | None:
    """A first estimate of x_0 at the chosen rows, zero at the others; only the chosen rows are computed.

    References: Analog Bits (Chen et al., 2023), algorithm 1, arXiv:2208.04202.
    """
    trusted = objective.schedule.alpha.to(inputs.t.device)[inputs.t] >= objective.prediction.least_alpha
    rows = (chosen & trusted).nonzero().squeeze(1)
    if not len(rows):
        return None
    some = Inputs._make(None if part is None else part[rows] for part in inputs)
    alpha_t, sigma_t = objective.schedule.at(some.t)
    v = objective.prediction.velocity(some.x_t, model(*some).to(some.x_t.dtype), alpha_t, sigma_t)
    x_0, _ = signal_and_noise(some.x_t, v, alpha_t, sigma_t)
    return torch.zeros_like(inputs.x_t).index_copy(0, rows, x_0 * some.mask[..., None])
