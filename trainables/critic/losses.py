"""Contrastive losses over the pairs of a batch: rows are (state, action), columns goals, the diagonal is positive.

With f_ij of row i and column j, and N the pairs that count as negatives (`trainables.critic.goals.negative_mask`),

    forward    mean_i (lse_i - f_ii) + penalty mean_i lse_i^2        lse_i = log(exp f_ii + sum_{j in N_i} exp f_ij)
    backward   the same of the transposed f and N
    symmetric  forward + backward
    binary     mean over all counted pairs of log(1 + exp(-f_ii)) and log(1 + exp f_ij)

The penalty is on the axis of the loss; `binary` has none. With similarities that are never positive, such as l2,
`binary` finds no positive pair likelier than not: it is meant for dot.

References: Contrastive Learning as Goal-Conditioned Reinforcement Learning (Eysenbach et al., 2022), eq. 5,
arXiv:2206.07568. Representation Learning with Contrastive Predictive Coding (van den Oord et al., 2018), eq. 4,
arXiv:1807.03748.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


class Diagnostics(NamedTuple):
    """What a batch shows of a critic, as numbers without a gradient.

    Attributes:
        accuracy: Share of rows whose own goal has the largest f (`credit`).
        positive, negative: Mean f of positive and of counted negative pairs.
        logsumexp: Mean over rows.
        masked: Share of the pairs off the diagonal that do not count.
    """

    accuracy: Float[Tensor, ""]
    positive: Float[Tensor, ""]
    negative: Float[Tensor, ""]
    logsumexp: Float[Tensor, ""]
    masked: Float[Tensor, ""]


def counted(f: Float[Tensor, "B B"], negative: Bool[Tensor, "B B"]) -> Float[Tensor, "B B"]:
    """Return f where a pair is positive or a negative that counts, and minus infinity elsewhere."""
    return f.masked_fill(~(negative | _diagonal(f)), -torch.inf)


def forward(f: Float[Tensor, "B B"], negative: Bool[Tensor, "B B"], penalty: float) -> Float[Tensor, ""]:
    """InfoNCE of each row over the goals."""
    lse = counted(f, negative).logsumexp(dim=1)
    return (lse - f.diagonal()).mean() + penalty * lse.square().mean()


def backward(f: Float[Tensor, "B B"], negative: Bool[Tensor, "B B"], penalty: float) -> Float[Tensor, ""]:
    """InfoNCE of each goal over the rows."""
    return forward(f.T, negative.T, penalty)


def symmetric(f: Float[Tensor, "B B"], negative: Bool[Tensor, "B B"], penalty: float) -> Float[Tensor, ""]:
    """Sum of both directions, each with its penalty."""
    return forward(f, negative, penalty) + backward(f, negative, penalty)


def binary(f: Float[Tensor, "B B"], negative: Bool[Tensor, "B B"], penalty: float) -> Float[Tensor, ""]:
    """Cross-entropy of each counted pair against its label, 1 on the diagonal."""
    positive = _diagonal(f)
    pairs = F.binary_cross_entropy_with_logits(f, positive.to(f.dtype), reduction="none")
    return pairs[positive | negative].mean()


Loss = Callable[[Tensor, Tensor, float], Tensor]
LOSSES: dict[str, Loss] = {"forward": forward, "backward": backward, "symmetric": symmetric, "binary": binary}


def credit(f: Float[Tensor, "B B"], negative: Bool[Tensor, "B B"]) -> Float[Tensor, "B"]:
    """1 for a row whose own goal has the largest f, 1 / m where m goals share it, 0 elsewhere; in float64.

    A constant f thus has the accuracy of chance, 1 / (1 + number of counted negatives).
    """
    return _credit(counted(f, negative))


@torch.no_grad()
def diagnostics(f: Float[Tensor, "B B"], negative: Bool[Tensor, "B B"]) -> Diagnostics:
    """Return accuracy, mean f of both kinds of pairs, log-sum-exp and masked share of a batch."""
    of_row, positive = counted(f, negative), f.diagonal()
    pairs, off = negative.sum() - negative.diagonal().sum(), len(f) * (len(f) - 1)
    total = (f * negative).sum() - (positive * negative.diagonal()).sum()
    return Diagnostics(
        _credit(of_row).mean().to(f.dtype),
        positive.mean(),
        total / pairs.clamp(min=1),
        of_row.logsumexp(dim=1).mean(),
        1.0 - pairs / off,
    )


def _credit(of_row: Float[Tensor, "B B"]) -> Float[Tensor, "B"]:
    own = of_row.diagonal()[:, None]
    best, tied = (of_row <= own).all(dim=1), (of_row == own).sum(dim=1)
    return best.double() / tied


def _diagonal(f: Float[Tensor, "B B"]) -> Bool[Tensor, "B B"]:
    return torch.eye(len(f), dtype=torch.bool, device=f.device)
