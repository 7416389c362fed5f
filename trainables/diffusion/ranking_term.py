"""The ranking term of the diffusion loss: its negatives, their forward passes, its value.

A step calls `draw_negatives` for the whole batch, before it is sharded; `predict` for the velocities of the batch under
its own conditions and of its first R rows under K foreign ones; `ranking_term` for the loss of those R rows. Each of
them costs 1/B of a plain step per row and negative. Three options lower that: `share` (fewer rows), `every` (fewer
steps) and `detach_negatives` (a negative without its backward pass, of which two thirds of a step consist; the loss
then pulls the own prediction closer where it is outranked, and pushes no other away).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.contrastive.negatives import SOURCES, ConditionQueue
from trainables.contrastive.ranking import (
    NORMALISATIONS,
    RANKING_LOSSES,
    ranking_accuracy,
    row_weights,
    squared_distance,
)
from trainables.diffusion.ranking_config import ContrastiveConfig


def condition_queue(config: ContrastiveConfig, width: int) -> ConditionQueue:
    """The queue at an epoch's beginning, for conditions of this width; it stays empty if it is not the source."""
    return ConditionQueue.empty(config.queue_size if config.source == "queue" else 0, width)


class Negatives(NamedTuple):
    """Foreign conditions of the ranked rows, which of them count, and each row's weight in the mean (1 on average)."""

    condition: Float[Tensor, "R K D"]
    valid: Bool[Tensor, "R K"]
    weight: Float[Tensor, "R"]

    def shard(self, rank: int, world_size: int, device: torch.device) -> "Negatives":
        """Return the rows rank, rank + world_size, ... of the batch.

        The weights are such that the mean of all workers' terms is the term of the whole batch, also where workers have
        unlike numbers of ranked rows, or none.
        """
        rows = slice(rank, None, world_size)
        condition, valid, weight = (part[rows].to(device) for part in self)
        return Negatives(condition, valid, weight * (world_size * len(weight) / len(self.weight)))


class Inputs(NamedTuple):
    """Arguments of the denoiser, in its order."""

    x_t: Float[Tensor, "B T C"]
    t: Int[Tensor, "B"]
    mask: Bool[Tensor, "B T"]
    condition: Float[Tensor, "B D"]
    drop_condition: Bool[Tensor, "B"] | None = None
    estimate: Float[Tensor, "B T C"] | None = None


def draw_negatives(
    condition: Float[Tensor, "B D"],
    config: ContrastiveConfig,
    random: torch.Generator,
    queue: ConditionQueue,
    drop_condition: Bool[Tensor, "B"] | None = None,
    step: int = 0,
) -> Negatives | None:
    """Negatives of the ranked rows of a whole batch; None, and `random` untouched, at a step where none are due.

    Args:
        queue: Conditions of past batches, this one's not among them.
        drop_condition: Rows that forget their condition, and so have no negative: all conditions predict the same.

    Raises:
        ConfigError: `negatives` is not smaller than the batch.
    """
    if not config.due(step):
        return None
    ranked = config.ranked(len(condition))
    chosen = SOURCES[config.source](condition, queue.rows, config.negatives, random)
    valid = chosen.valid if drop_condition is None else chosen.valid & ~drop_condition[:, None].to(condition.device)
    pool = torch.cat([condition, queue.rows.to(condition)])
    return Negatives(pool[chosen.rows[:ranked]], valid[:ranked], row_weights(valid[:ranked]).float())


def predict(
    model: Callable[..., Tensor], inputs: Inputs, negatives: Negatives, detach: bool
) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "R K T C"]]:
    """Predictions under the own conditions, and of the first R rows under the foreign ones.

    Both come from one batch; detached, the foreign ones come from a batch of their own that records no gradient.
    """
    count, k = negatives.valid.shape
    rows = torch.arange(len(inputs.t), device=inputs.t.device)
    foreign, condition = rows[:count].repeat_interleave(k), negatives.condition.flatten(0, 1)
    if detach:
        with torch.no_grad():  # first: the backward pass of a parallel model belongs to its last forward pass
            contrasted = model(*_take(inputs, foreign, condition)) if count else inputs.x_t[:0]
        return model(*inputs), contrasted.unflatten(0, (count, k))
    both = model(*_take(inputs, torch.cat([rows, foreign]), torch.cat([inputs.condition, condition])))
    return both[: len(rows)], both[len(rows) :].unflatten(0, (count, k))


def _take(inputs: Inputs, rows: Int[Tensor, "N"], condition: Float[Tensor, "N D"]) -> Inputs:
    """Rows of the inputs, under other conditions."""
    return Inputs._make(None if part is None else part[rows] for part in inputs)._replace(condition=condition)


def ranking_term(
    target: Float[Tensor, "R T C"],
    mask: Bool[Tensor, "R T"],
    positive_prediction: Float[Tensor, "R T C"],
    negative_prediction: Float[Tensor, "R K T C"],
    negatives: Negatives,
    config: ContrastiveConfig,
    scale: Float[Tensor, ""],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Ranking loss of the ranked rows, without its weight, and the share of valid pairs in the right order.

    Args:
        scale: Mean of the whole batch's own squared distances, over all workers and without gradient.
    """
    positive = squared_distance(target, positive_prediction, mask)
    negative = squared_distance(target[:, None], negative_prediction, mask[:, None])
    dimensions = (mask.sum(dim=1) * target.shape[-1]).to(positive.dtype)
    normalise = NORMALISATIONS[config.normalise]
    loss = RANKING_LOSSES[config.loss](
        normalise(positive, dimensions, scale),
        normalise(negative, dimensions[:, None], scale),
        negatives.valid,
        config.temperature,
        config.margin,
        negatives.weight,
    )
    return loss, ranking_accuracy(positive.detach(), negative.detach(), negatives.valid)
