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


class Pairs(NamedTuple):
    """f of all pairs of a batch, which of them are negatives, and f where a pair counts, minus infinity elsewhere."""

    f: Float[Tensor, "B B"]
    negative: Bool[Tensor, "B B"]
    counted: Float[Tensor, "B B"]

    @classmethod
    def of(cls, f: Float[Tensor, "B B"], negative: Bool[Tensor, "B B"]) -> "Pairs":
        """Return the pairs of f."""
        return cls(f, negative, counted(f, negative))

    @property
    def transposed(self) -> "Pairs":
        """The same with goals as rows."""
        return Pairs(self.f.T, self.negative.T, self.counted.T)


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


def forward(pairs: Pairs, penalty: float) -> Float[Tensor, ""]:
    """InfoNCE of each row over the goals."""
    surprise, lse = _of_rows(pairs.counted)
    return surprise.mean() + penalty * lse.square().mean()


def backward(pairs: Pairs, penalty: float) -> Float[Tensor, ""]:
    """InfoNCE of each goal over the rows."""
    return forward(pairs.transposed, penalty)


def symmetric(pairs: Pairs, penalty: float) -> Float[Tensor, ""]:
    """Sum of both directions, each with its penalty."""
    return forward(pairs, penalty) + backward(pairs, penalty)


def binary(pairs: Pairs, penalty: float) -> Float[Tensor, ""]:
    """Cross-entropy of each counted pair against its label, 1 on the diagonal."""
    positive = _diagonal(pairs.f)
    losses = F.binary_cross_entropy_with_logits(pairs.f, positive.to(pairs.f.dtype), reduction="none")
    return losses[positive | pairs.negative].mean()


Loss = Callable[[Pairs, float], Tensor]
LOSSES: dict[str, Loss] = {"forward": forward, "backward": backward, "symmetric": symmetric, "binary": binary}


def credit(f: Float[Tensor, "B B"], negative: Bool[Tensor, "B B"]) -> Float[Tensor, "B"]:
    """1 for a row whose own goal has the largest f, 1 / m where m goals share it, 0 elsewhere; in float64.

    A constant f thus has the accuracy of chance, 1 / (1 + number of counted negatives).
    """
    return _credit(counted(f, negative))


@torch.no_grad()
def diagnostics(pairs: Pairs) -> Diagnostics:
    """Return accuracy, mean f of both kinds of pairs, log-sum-exp and masked share of a batch."""
    f, negative, of_row = pairs
    positive, off = f.diagonal(), len(f) * (len(f) - 1)
    counts = negative.count_nonzero() - negative.diagonal().count_nonzero()
    total = (f * negative).sum() - (positive * negative.diagonal()).sum()
    return Diagnostics(
        _credit(of_row).mean().to(f.dtype),
        positive.mean(),
        total / counts.clamp(min=1),
        _of_rows(of_row)[1].mean(),
        1.0 - counts / off,
    )


def _of_rows(of_row: Float[Tensor, "B B"]) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
    """Return the negative log-likelihood of each row's own goal, and the log-sum-exp of the row.

    By log_softmax, one vectorised pass each way: exponentials of the library underflow slowly where f is far below the
    largest of its row.
    """
    surprise = -F.log_softmax(of_row, dim=1).diagonal()
    return surprise, of_row.diagonal() + surprise


def _credit(of_row: Float[Tensor, "B B"]) -> Float[Tensor, "B"]:
    own = of_row.diagonal()[:, None]
    shares = torch.zeros(len(of_row), dtype=torch.float64, device=of_row.device)
    best = (of_row.amax(dim=1) == own[:, 0]).nonzero().squeeze(1)
    shares[best] = 1.0 / (of_row[best] == own[best]).sum(dim=1).double()
    return shares


def _diagonal(f: Float[Tensor, "B B"]) -> Bool[Tensor, "B B"]:
    return torch.eye(len(f), dtype=torch.bool, device=f.device)
