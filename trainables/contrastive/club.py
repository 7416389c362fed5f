"""CLUB: a bound from above of the information that two embeddings share, to be minimised between them.

A Gaussian q(y|x), whose mean and log-variance are networks of x, learns to predict y. The bound is what it knows of the
true partner beyond what it knows of any other,

    I_CLUB = mean_i log q(y_i | x_i) - mean_{i,j} log q(y_j | x_i)

over all N^2 pairs, i = j among them. It lies above the mutual information while q is near p(y|x), and means nothing
while q is not: an untrained q reads about 0 whatever the embeddings share. So q has an optimiser of its own and takes
some steps before each step of the embeddings, and success is measured by a fresh probe and never by the bound.

It is given embeddings of length 1. Those of a free length could escape: q has a least variance, so that embeddings that
merely shrink would lower the bound and keep all their information.

References: CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information (Cheng et al., 2020), section 3.2
(variational CLUB), arXiv:2006.12013.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from trainables.core.config import require

LOG_VARIANCE = 3.5  # its bound: variances from 0.03 to 33; a coordinate of a direction in 32 dimensions has 0.03
SMALLEST = 1e-6  # variance by which a column is divided


class Gaussian(NamedTuple):
    """Independent normal distributions of each column, one row for each x."""

    mean: Float[Tensor, "N E"]
    log_variance: Float[Tensor, "N E"]


class CLUB(nn.Module):
    """q(y|x) with two networks of one hidden layer; the bound and what q learns by are its methods."""

    def __init__(self, x_dim: int, y_dim: int, hidden: int = 64) -> None:
        super().__init__()
        self.mean = nn.Sequential(nn.Linear(x_dim, hidden), nn.ReLU(), nn.Linear(hidden, y_dim))
        self.log_variance = nn.Sequential(nn.Linear(x_dim, hidden), nn.ReLU(), nn.Linear(hidden, y_dim))

    def forward(self, x: Float[Tensor, "N D"]) -> Gaussian:
        """q(y|x), its log-variance within ± `LOG_VARIANCE`: LOG_VARIANCE tanh(raw / LOG_VARIANCE)."""
        return Gaussian(self.mean(x), LOG_VARIANCE * torch.tanh(self.log_variance(x) / LOG_VARIANCE))

    def learning_loss(self, x: Float[Tensor, "N D"], y: Float[Tensor, "N E"]) -> Float[Tensor, ""]:
        """Mean of -log q(y_i|x_i) in nats, without the constant log(2 pi)/2 of each column.

        Its gradient reaches q and never the embeddings.
        """
        mean, log_variance = self(x.detach())
        squares = (y.detach() - mean).square() * (-log_variance).exp()
        loss: Tensor = 0.5 * (squares + log_variance).sum(dim=1).mean()
        return loss

    def upper_bound(self, x: Float[Tensor, "N D"], y: Float[Tensor, "N E"]) -> Float[Tensor, ""]:
        """I_CLUB in nats; its gradient reaches the embeddings and never q.

        The variance of q cancels but as a weight. The mean over all partners j of (y_j - mu_i)^2 is
        var(y) + (mean(y) - mu_i)^2: all N^2 pairs, exactly, for the price of N.
        """
        mean, log_variance = self._frozen(x)
        own = (y - mean).square()
        centre = y.mean(dim=0)
        any_other = (y - centre).square().mean(dim=0) + (centre - mean).square()
        return 0.5 * ((any_other - own) * (-log_variance).exp()).sum(dim=1).mean()

    def _frozen(self, x: Float[Tensor, "N D"]) -> Gaussian:
        weights = {name: parameter.detach() for name, parameter in self.named_parameters()}
        q: Gaussian = functional_call(self, weights, (x,))
        return q


def standardised(x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """Columns of mean 0 and variance 1, so that q finds what stands in columns that hardly vary, as a probe would.

    The map is invertible: x shares with y what it shared before, and shrinking a column hides nothing.
    """
    centred = x - x.mean(dim=0)
    return centred * (centred.square().mean(dim=0) + SMALLEST).rsqrt()


def inner_steps(
    club: CLUB, optimiser: torch.optim.Optimizer, x: Float[Tensor, "N D"], y: Float[Tensor, "N E"], count: int
) -> float:
    """`count` steps of q on these embeddings, which stay as they are; returns the loss before the last of them.

    Workers that have gathered their embeddings take the same steps from the same weights: q needs no wrapper.
    """
    require(count >= 1, "`count >= 1`", f"count={count}")
    return [_step(club, optimiser, x, y) for _ in range(count)][-1]


def _step(club: CLUB, optimiser: torch.optim.Optimizer, x: Float[Tensor, "N D"], y: Float[Tensor, "N E"]) -> float:
    loss = club.learning_loss(x, y)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.item()
