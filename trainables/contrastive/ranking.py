"""Contrastive action-conditioning: the right condition must explain a noisy sample better than a wrong one.

For a sample with target v, let d_pos = |v - v_theta(x_t, c, t)|^2 under its own condition and d_neg[k] the same under K
conditions of other samples. A ranking loss demands d_pos < d_neg[k]. Distances are masked sums over (T, C), divided
by one of `NORMALISATIONS`; with the default, the batch's mean d_pos (detached), a temperature means the same at every
length, width and noise level.

Every ranking loss takes the temperature tau (of the smooth ones) and the margin m (of the triplet), and leaves what is
not in its equation. With one negative, infonce, softplus and logistic are one function, softplus((d_pos - d_neg)/tau).
With more they differ in what they make of the K differences: infonce takes their log-sum-exp, softplus the largest,
logistic the mean of their losses, so that logistic <= softplus <= infonce. hinge0 is the triplet of margin 0, and the
limit of tau * softplus for tau -> 0.
"""

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def squared_distance(
    target: Float[Tensor, "*#N T C"], predicted: Float[Tensor, "*#N T C"], mask: Bool[Tensor, "*#N T"]
) -> Float[Tensor, "*_"]:
    """Masked sum of squares over (T, C); leading dimensions are broadcast."""
    return (target - predicted).masked_fill(~mask[..., None], 0.0).square().sum(dim=(-2, -1))


def infonce(
    positive: Float[Tensor, "B"],
    negative: Float[Tensor, "B K"],
    valid: Bool[Tensor, "B K"],
    temperature: float = 1.0,
    margin: float = 0.0,
    weight: Float[Tensor, "B"] | None = None,
) -> Float[Tensor, ""]:
    """-log exp(-d_pos/tau) / (exp(-d_pos/tau) + sum_k exp(-d_neg[k]/tau)).

    References: Representation Learning with Contrastive Predictive Coding (van den Oord et al., 2018), eq. 4,
        arXiv:1807.03748.
    """
    exceeded = (_excess(positive, negative, valid) / temperature).logsumexp(dim=1)
    return _mean(F.softplus(exceeded), valid, weight)


def triplet(
    positive: Float[Tensor, "B"],
    negative: Float[Tensor, "B K"],
    valid: Bool[Tensor, "B K"],
    temperature: float = 1.0,
    margin: float = 0.0,
    weight: Float[Tensor, "B"] | None = None,
) -> Float[Tensor, ""]:
    """max(0, m + d_pos - min_k d_neg[k]).

    References: FaceNet (Schroff et al., 2015), section 3.1, arXiv:1503.03832; the hardest negative after In Defense of
        the Triplet Loss (Hermans et al., 2017), section 2, arXiv:1703.07737.
    """
    return _mean(F.relu(margin + _excess(positive, negative, valid).amax(dim=1)), valid, weight)


def hinge0(
    positive: Float[Tensor, "B"],
    negative: Float[Tensor, "B K"],
    valid: Bool[Tensor, "B K"],
    temperature: float = 1.0,
    margin: float = 0.0,
    weight: Float[Tensor, "B"] | None = None,
) -> Float[Tensor, ""]:
    """max(0, d_pos - min_k d_neg[k]): the triplet loss without a margin to choose."""
    return triplet(positive, negative, valid, temperature, 0.0, weight)


def softplus(
    positive: Float[Tensor, "B"],
    negative: Float[Tensor, "B K"],
    valid: Bool[Tensor, "B K"],
    temperature: float = 1.0,
    margin: float = 0.0,
    weight: Float[Tensor, "B"] | None = None,
) -> Float[Tensor, ""]:
    """log(1 + exp((d_pos - min_k d_neg[k])/tau)).

    References: In Defense of the Triplet Loss (Hermans et al., 2017), section 2, "soft margin", arXiv:1703.07737.
    """
    hardest = _excess(positive, negative, valid).amax(dim=1)
    return _mean(F.softplus(hardest / temperature), valid, weight)


def logistic(
    positive: Float[Tensor, "B"],
    negative: Float[Tensor, "B K"],
    valid: Bool[Tensor, "B K"],
    temperature: float = 1.0,
    margin: float = 0.0,
    weight: Float[Tensor, "B"] | None = None,
) -> Float[Tensor, ""]:
    """Mean over the valid k of log(1 + exp((d_pos - d_neg[k])/tau)): every pair counts, hard or not.

    References: Learning to Rank using Gradient Descent (Burges et al., 2005), section 3, for pairs whose order is sure.
    """
    pairs = F.softplus(_excess(positive, negative, valid) / temperature)
    return _mean(pairs.sum(dim=1) / valid.sum(dim=1).clamp(min=1), valid, weight)


class RankingLoss(Protocol):
    """Mean over rows that have a negative, or the one that `weight` gives (see `row_weights`)."""

    def __call__(
        self,
        positive: Float[Tensor, "B"],
        negative: Float[Tensor, "B K"],
        valid: Bool[Tensor, "B K"],
        temperature: float = 1.0,
        margin: float = 0.0,
        weight: Float[Tensor, "B"] | None = None,
    ) -> Float[Tensor, ""]: ...


RANKING_LOSSES: dict[str, RankingLoss] = {
    "infonce": infonce,
    "triplet": triplet,
    "hinge0": hinge0,
    "softplus": softplus,
    "logistic": logistic,
}


def row_weights(valid: Bool[Tensor, "B K"]) -> Float[Tensor, "B"]:
    """Weights of rows in their mean: 0 without a valid negative, equal else, 1 on average; all 0 if none has one."""
    usable = valid.any(dim=1).double()
    return usable * len(usable) / usable.sum().clamp(min=1.0)


def ranking_accuracy(
    positive: Float[Tensor, "B"], negative: Float[Tensor, "B K"], valid: Bool[Tensor, "B K"]
) -> Float[Tensor, ""]:
    """Share of valid pairs with d_pos < d_neg; 0.5 when the condition is ignored."""
    return ((positive[:, None] < negative) & valid).sum() / valid.sum().clamp(min=1)


def by_batch(
    distance: Float[Tensor, "*N"], dimensions: Float[Tensor, "*#N"], scale: Float[Tensor, ""]
) -> Float[Tensor, "*N"]:
    """Return the distances in units of the batch's mean distance."""
    return distance / scale


def by_dimension(
    distance: Float[Tensor, "*N"], dimensions: Float[Tensor, "*#N"], scale: Float[Tensor, ""]
) -> Float[Tensor, "*N"]:
    """The mean square over the row's valid steps and channels: short and long rows alike, noisy and clean ones not."""
    return distance / dimensions


def by_nothing(
    distance: Float[Tensor, "*N"], dimensions: Float[Tensor, "*#N"], scale: Float[Tensor, ""]
) -> Float[Tensor, "*N"]:
    """The sum of squares as it is."""
    return distance


Normalisation = Callable[[Tensor, Tensor, Tensor], Tensor]
NORMALISATIONS: dict[str, Normalisation] = {"batch": by_batch, "dimension": by_dimension, "none": by_nothing}


def _excess(
    positive: Float[Tensor, "B"], negative: Float[Tensor, "B K"], valid: Bool[Tensor, "B K"]
) -> Float[Tensor, "B K"]:
    """d_pos - d_neg, and minus infinity where the negative is invalid: such a row has no loss."""
    return (positive[:, None] - negative).masked_fill(~valid, -torch.inf)


def _mean(loss: Float[Tensor, "B"], valid: Bool[Tensor, "B K"], weight: Float[Tensor, "B"] | None) -> Float[Tensor, ""]:
    """Mean over rows that have a negative; `weight` replaces `row_weights` for rows that are a part of a batch."""
    weight = row_weights(valid) if weight is None else weight
    return (loss * weight.to(loss.dtype)).sum() / max(len(loss), 1)
