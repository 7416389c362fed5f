"""Contrastive action-conditioning: the right condition must explain a noisy sample better than a wrong one.

For a sample with target v, let d_pos = |v - v_theta(x_t, c, t)|^2 under its own condition and d_neg[k] the same under K
conditions of other samples. A ranking loss asks for d_pos < d_neg[k]. Distances are masked sums over (T, C), divided
by the batch's mean d_pos (detached), so that a temperature means the same at every length, width and noise level.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.config import require

NEAR = 0.1  # conditions closer than this (RMS over columns, in standard deviations) count as equal


class Negatives(NamedTuple):
    """Rows of the batch that lend their condition, and which of them differ enough to be a negative."""

    rows: Int[Tensor, "B K"]
    valid: Bool[Tensor, "B K"]


def derangements(condition: Float[Tensor, "B D"], k: int, random: torch.Generator, near: float = NEAR) -> Negatives:
    """K distinct other rows for every row, none of them itself; equal or near-equal conditions are marked invalid.

    A random cyclic order is shifted by K distinct random offsets: each shift is a derangement. Without the exclusion
    of near-equal conditions the loss has the floor log 2: two equal conditions predict the same.

    Raises:
        ConfigError: fewer than K + 1 rows.
    """
    count = len(condition)
    require(1 <= k < count, "`1 <= negatives < batch_size`", f"negatives={k}, batch_size={count}")
    order = torch.randperm(count, generator=random)
    offsets = torch.randperm(count - 1, generator=random)[:k] + 1
    place = order.argsort()
    rows = order[(place[:, None] + offsets) % count].to(condition.device)
    gap = (condition[rows] - condition[:, None]).square().mean(dim=-1).sqrt()
    return Negatives(rows, gap > near)


def squared_distance(
    target: Float[Tensor, "*#N T C"], predicted: Float[Tensor, "*#N T C"], mask: Bool[Tensor, "*#N T"]
) -> Float[Tensor, "*_"]:
    """Masked sum of squares over (T, C); leading dimensions are broadcast."""
    return (target - predicted).masked_fill(~mask[..., None], 0.0).square().sum(dim=(-2, -1))


def infonce(
    positive: Float[Tensor, "B"], negative: Float[Tensor, "B K"], valid: Bool[Tensor, "B K"], temperature: float
) -> Float[Tensor, ""]:
    """-log exp(-d_pos/tau) / (exp(-d_pos/tau) + sum_k exp(-d_neg[k]/tau)), mean over rows that have a negative.

    With one negative this is softplus((d_pos - d_neg)/tau), the logistic ranking loss, and is computed as such.

    References: Representation Learning with Contrastive Predictive Coding (van den Oord et al., 2018), eq. 4,
        arXiv:1807.03748.
    """
    margin = ((positive[:, None] - negative) / temperature).masked_fill(~valid, -torch.inf)
    exceeded = margin.squeeze(1) if margin.shape[1] == 1 else margin.logsumexp(dim=1)
    usable = valid.any(dim=1)
    return F.softplus(exceeded[usable]).sum() / usable.sum().clamp(min=1)


RankingLoss = Callable[[Tensor, Tensor, Tensor, float], Tensor]
RANKING_LOSSES: dict[str, RankingLoss] = {"infonce": infonce}


def ranking_accuracy(
    positive: Float[Tensor, "B"], negative: Float[Tensor, "B K"], valid: Bool[Tensor, "B K"]
) -> Float[Tensor, ""]:
    """Share of valid pairs with d_pos < d_neg; 0.5 when the condition is ignored."""
    return ((positive[:, None] < negative) & valid).sum() / valid.sum().clamp(min=1)
