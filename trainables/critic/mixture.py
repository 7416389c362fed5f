"""Mixture of kernels as similarity: each (state, action) predicts several places of its goal, near ones sharply.

    f_ij = log sum_m w_im c_im / (|mu_im - psi_j|^2 + c_im^2)^(3/2)

a weighted sum of bivariate Cauchy kernels of the embedding psi of the goal. A goal lies some steps ahead, and which
number of them is not known: the density of goals is a sharp peak where the pointer will be after one step, beside
blunter ones of later positions. One distance is as sharp for all steps and for all horizons. phi of a row holds the
centres mu, the logarithms of the weights w and those of the widths c:

    phi = (mu_1 ... mu_M, log w_1 ... log w_M, log c_1 ... log c_M)        M D + 2 M columns

Networks begin at linear extrapolation, and learn what is left: a linear map beside each network gives psi = g / u
and mu_m = (x + h_m a) / u, with h = 0, 1, 2, 4, 8, ... steps, equal weights and widths that grow with h; the heads of
the networks begin at 0. With 0 on both sides the components of the embedding beyond the two of the position would have
no gradient, that of a squared distance. So those of psi begin at random, shorter than `OFFSET_PX` in the mean, which
lowers f by less than 3/2 `OFFSET_PX`^2 over the square of the narrowest width in px, and gives both sides a gradient.
They are functions of the goal by rows of the head, since components that are linear in g would span no more than g.

References: Mixture Density Networks (Bishop, 1994), NCRG/94/004, eq. 22 and 23, here of densities up to the constant
of a row that InfoNCE leaves free. t-distributions as kernels: Visualizing Data using t-SNE (van der Maaten & Hinton,
2008), section 3.2.
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.critic.episodes import ACTION, POSITION, STATE

UNIT_PX = 20.0  # u: px of a unit of the embeddings at first
WIDTH_PX = 2.0  # width of a kernel at first, of each step ahead
LEAST_STEPS = 0.5  # steps that the width of the kernel at the position is that of
OFFSET_PX = 0.1  # bound of the mean length, at first, of the components of psi beyond those of the position
SHAPE = 1.5  # exponent of the kernels, whose integral over the plane is finite from 1 on; `_Kernels` is of this one
EPS = 1e-6  # added to a squared distance, so that its logarithm is finite where width and distance vanish


class LinearMaps(NamedTuple):
    """Linear maps of the standardised inputs to phi and psi, beside the networks."""

    phi: nn.Linear
    psi: nn.Linear


def mixture(phi: Float[Tensor, "*N B P"], psi: Float[Tensor, "*N K D"]) -> Float[Tensor, "*N B K"]:
    """Return f; the number of kernels is P / (D + 2).

    Weights are divided by the largest of their row: that kernel has a weight of 1, so that no sum vanishes.
    """
    embedding = psi.shape[-1]
    kernels = phi.shape[-1] // (embedding + 2)
    mu, log_w, log_c = phi.split([kernels * embedding, kernels, kernels], dim=-1)
    centre = psi.detach().mean(dim=-2, keepdim=True)  # of digits: distances do not depend on the origin
    mu = mu.unflatten(-1, (kernels, embedding)) - centre.unsqueeze(-2)
    log_a = log_w + log_c
    largest = log_a.detach().amax(dim=-1, keepdim=True)
    widths = (2.0 * log_c).exp() + EPS
    total: Tensor = _Kernels.apply(mu, (log_a - largest).exp(), widths, psi - centre)  # type: ignore[no-untyped-call]
    f: Tensor = largest + total.log()
    return f


class _Kernels(torch.autograd.Function):
    """s_ij = sum_m a_im r_imj^3, r_imj = (|mu_im - psi_j|^2 + v_im)^(-1/2), one kernel in memory after another.

    With t_imj = -3/2 g_ij a_im r_imj^5 and g = dL / ds the gradients are

        a_im   sum_j g_ij r_imj^3                  v_im    sum_j t_imj
        mu_im  2 sum_j t_imj (mu_im - psi_j)       psi_j   2 sum_im t_imj (psi_j - mu_im)
    """

    @staticmethod
    def forward(ctx: Any, mu: Tensor, a: Tensor, v: Tensor, psi: Tensor) -> Tensor:
        ctx.save_for_backward(mu, a, v, psi)
        total = psi.new_zeros(*mu.shape[:-2], psi.shape[-2])
        for m in range(mu.shape[-2]):
            r = _inverse_distance(mu[..., m, :], v[..., m], psi)
            total += r.square().mul_(r).mul_(a[..., m, None])
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mu, a, v, psi = ctx.saved_tensors
        of_mu, of_a, of_v, of_psi = (torch.zeros_like(part) for part in (mu, a, v, psi))
        for m in range(mu.shape[-2]):
            r = _inverse_distance(mu[..., m, :], v[..., m], psi)
            square = r.square()
            t = r.mul_(square).mul_(gradients[0])
            of_a[..., m] = t.sum(dim=-1)
            t = t.mul_(square).mul_(-SHAPE * a[..., m, None])
            of_v[..., m] = t.sum(dim=-1)
            of_mu[..., m, :] = 2.0 * (of_v[..., m, None] * mu[..., m, :] - t @ psi)
            of_psi += 2.0 * (t.sum(dim=-2).unsqueeze(-1) * psi - t.mT @ mu[..., m, :])
        return of_mu, of_a, of_v, of_psi


def _inverse_distance(
    mu: Float[Tensor, "*N B D"], v: Float[Tensor, "*N B"], psi: Float[Tensor, "*N K D"]
) -> Float[Tensor, "*N B K"]:
    squares = (mu @ psi.mT).mul_(-2.0)
    squares += mu.square().sum(dim=-1, keepdim=True)
    squares += psi.square().sum(dim=-1).unsqueeze(-2)
    return squares.clamp_(min=0.0).add_(v.unsqueeze(-1)).rsqrt_()


def columns_of_phi(kernels: int, embedding: int) -> int:
    """Return the columns of phi."""
    return kernels * (embedding + 2)


def horizons(kernels: int) -> tuple[float, ...]:
    """Return the steps ahead of the kernels at first.

    >>> horizons(5)
    (0.0, 1.0, 2.0, 4.0, 8.0)
    """
    return (0.0, *(2.0**power for power in range(kernels - 1)))


@torch.no_grad()
def straight_on(
    position_std: Float[Tensor, "2"],
    action_mean: Float[Tensor, "2"],
    action_std: Float[Tensor, "2"],
    *,
    kernels: int,
    embedding: int,
    goal_columns: int,
) -> LinearMaps:
    """Return the maps under which f is that of linear extrapolation; the mean position, common to both, is left out."""
    maps = LinearMaps(
        nn.Linear(STATE + ACTION, columns_of_phi(kernels, embedding)), nn.Linear(goal_columns, embedding, bias=False)
    )
    for parameter in (*maps.phi.parameters(), *maps.psi.parameters()):
        nn.init.zeros_(parameter)
    log_c = maps.phi.bias[kernels * (embedding + 1) :]
    for axis in range(POSITION):
        maps.psi.weight[axis, axis] = position_std[axis] / UNIT_PX
        for kernel, steps in enumerate(horizons(kernels)):
            row = kernel * embedding + axis
            maps.phi.weight[row, axis] = position_std[axis] / UNIT_PX
            maps.phi.weight[row, STATE + axis] = steps * action_std[axis] / UNIT_PX
            maps.phi.bias[row] = steps * action_mean[axis] / UNIT_PX
            log_c[kernel] = math.log(max(steps, LEAST_STEPS) * WIDTH_PX / UNIT_PX)
    return maps


@torch.no_grad()
def begin_small(phi: nn.Linear, psi: nn.Linear, layers: int) -> None:
    """Set the heads of both networks to 0, but for the components of psi beyond those of the position: short at random.

    Args:
        psi: Head with weights of variance 1 / fan-in.
        layers: Layers whose outputs add up to the input of the head; each has entries of a mean square below 1.
    """
    nn.init.zeros_(phi.weight)
    nn.init.zeros_(psi.weight[:POSITION])
    others = psi.weight[POSITION:]
    others *= OFFSET_PX / UNIT_PX / (layers * math.sqrt(max(len(others), 1)))
