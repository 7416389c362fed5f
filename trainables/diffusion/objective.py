"""The training loss: masked velocity matching, plus a ranking term that ties the prediction to its condition.

L = mean_b ( |v - v_theta(x_t, c, t)|^2 summed over valid (T, C) / (valid steps * C) ) + weight * ranking(d_pos, d_neg)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.config import require, require_member
from trainables.contrastive.ranking import (
    RANKING_LOSSES,
    Negatives,
    derangements,
    ranking_accuracy,
    squared_distance,
)
from trainables.data.dataset import Batch
from trainables.diffusion.noise.schedule import Schedule, diffuse, velocity

Denoiser = Callable[[Tensor, Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
"""(x_t [B,T,C], t [B], mask [B,T], condition [B,D], dropped conditions [B]) -> v [B,T,C]."""


@dataclass(frozen=True)
class ContrastiveConfig:
    """The ranking term; weight 0 switches it off and costs nothing."""

    weight: float = 0.0
    temperature: float = 0.5  # in units of the batch's mean squared error
    negatives: int = 1  # K of each ranked row
    share: float = 0.25  # of the batch that is ranked: the term costs share * negatives of a plain step
    loss: str = "infonce"

    def __post_init__(self) -> None:
        require(self.weight >= 0, "`weight >= 0`", f"weight={self.weight}")
        require(self.temperature > 0, "`temperature > 0`", f"temperature={self.temperature}")
        require(self.negatives >= 1, "`negatives >= 1`", f"negatives={self.negatives}")
        require(0 < self.share <= 1, "`0 < share <= 1`", f"share={self.share}")
        require_member("loss", self.loss, RANKING_LOSSES)

    def ranked(self, batch_size: int) -> int:
        """Rows of a batch that are ranked; the batch is shuffled, so they are its first ones."""
        return max(1, round(self.share * batch_size))


class Draw(NamedTuple):
    """The randomness of one training step, drawn before the network runs."""

    t: Int[Tensor, "B"]
    eps: Float[Tensor, "B T C"]
    drop_condition: Bool[Tensor, "B"]


class Loss(NamedTuple):
    """The total to differentiate, and its parts for the log."""

    total: Float[Tensor, ""]
    denoising: Float[Tensor, ""]
    ranking: Float[Tensor, ""] | None
    ranking_accuracy: Float[Tensor, ""] | None


def draw(batch: Batch, timesteps: int, condition_dropout: float, random: torch.Generator) -> Draw:
    """Diffusion times over all steps, Gaussian noise, and which rows forget their condition."""
    z = batch.sequences.z
    t = torch.randint(timesteps, (len(z),), generator=random)
    eps = torch.randn(z.shape, generator=random)
    drop = torch.rand(len(z), generator=random) < condition_dropout
    return Draw(t.to(z.device), eps.to(z.device), drop.to(z.device))


def denoising_loss(
    v: Float[Tensor, "B T C"], predicted: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B"]:
    """Mean squared velocity error of each row over its valid steps and channels."""
    return squared_distance(v, predicted, mask) / (mask.sum(dim=1) * v.shape[-1])


def diffusion_loss(
    model: Denoiser, schedule: Schedule, batch: Batch, drawn: Draw, config: ContrastiveConfig, random: torch.Generator
) -> Loss:
    """The whole loss of one batch.

    Args:
        random: Stream of the negatives alone; untouched at weight 0, which so equals the plain loss bit for bit.
    """
    alpha_t, sigma_t = schedule.at(drawn.t)
    z, mask = batch.sequences
    x_t, v = diffuse(z, drawn.eps, alpha_t, sigma_t), velocity(z, drawn.eps, alpha_t, sigma_t)
    if config.weight == 0.0:
        loss = denoising_loss(v, model(x_t, drawn.t, mask, batch.condition, drawn.drop_condition), mask).mean()
        return Loss(loss, loss.detach(), None, None)
    rows = config.ranked(len(z))
    negatives = derangements(batch.condition, config.negatives, random)
    negatives = Negatives(negatives.rows[:rows], negatives.valid[:rows] & ~drawn.drop_condition[:rows, None])
    predicted, contrasted = _predict_with_negatives(model, x_t, batch, drawn, negatives.rows)
    error = squared_distance(v, predicted, mask)
    negative = squared_distance(v[:rows, None], contrasted, mask[:rows, None])
    scale = error.detach().mean()
    ranking = RANKING_LOSSES[config.loss](error[:rows] / scale, negative / scale, negatives.valid, config.temperature)
    accuracy = ranking_accuracy(error[:rows].detach(), negative.detach(), negatives.valid)
    denoising = (error / (mask.sum(dim=1) * v.shape[-1])).mean()
    return Loss(denoising + config.weight * ranking, denoising.detach(), ranking.detach(), accuracy)


def _predict_with_negatives(
    model: Denoiser, x_t: Tensor, batch: Batch, drawn: Draw, lenders: Int[Tensor, "R K"]
) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "R K T C"]]:
    """Predictions under the right conditions, and of the first R rows under those of their lenders, as one batch."""
    count, k = lenders.shape
    repeated = torch.arange(count, device=x_t.device).repeat_interleave(k)
    rows = torch.cat([torch.arange(len(x_t), device=x_t.device), repeated])
    condition = torch.cat([batch.condition, batch.condition[lenders.flatten()]])
    predicted = model(x_t[rows], drawn.t[rows], batch.sequences.mask[rows], condition, drawn.drop_condition[rows])
    return predicted[: len(x_t)], predicted[len(x_t) :].unflatten(0, (count, k))
