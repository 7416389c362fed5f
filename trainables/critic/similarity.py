"""Similarities of embeddings, phi of each row against psi of each column of N batches, without a [B, K, D] tensor.

l2 has the gradient of a distance: a unit vector, whatever the distance. Where both embeddings are equal it would be NaN
without the EPS under the root.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from trainables.critic.mixture import mixture

EPS = 1e-6  # added to a squared distance of embeddings


def l2(phi: Float[Tensor, "*N B D"], psi: Float[Tensor, "*N K D"]) -> Float[Tensor, "*N B K"]:
    """-sqrt(|phi_i - psi_j|^2 + EPS), by |phi_i|^2 + |psi_j|^2 - 2 phi_i psi_j.

    The expanded square loses digits where embeddings are long beside their distance. Distances do not depend on the
    origin, so that it is moved to the centre of psi first.
    """
    centre = psi.detach().mean(dim=-2, keepdim=True)
    f: Tensor = _Distance.apply(phi - centre, psi - centre)  # type: ignore[no-untyped-call]
    return f


class _Distance(torch.autograd.Function):
    """f_ij = -sqrt(|phi_i - psi_j|^2 + EPS), whose gradient keeps one [B, K] tensor rather than one of each operation.

    With w_ij = (dL / df_ij) / f_ij the gradients are sum_j w_ij (phi_i - psi_j) of phi_i, sum_i w_ij (psi_j - phi_i) of
    psi_j.
    """

    @staticmethod
    def forward(ctx: Any, phi: Tensor, psi: Tensor) -> Tensor:
        squares = (phi @ psi.mT).mul_(-2.0)
        squares += phi.square().sum(dim=-1, keepdim=True)
        squares += psi.square().sum(dim=-1).unsqueeze(-2)
        f = squares.clamp_(min=0.0).add_(EPS).sqrt_().neg_()
        ctx.save_for_backward(phi, psi, f)
        return f

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        phi, psi, f = ctx.saved_tensors
        w = gradients[0] / f
        of_phi = w.sum(dim=-1, keepdim=True) * phi - w @ psi
        return of_phi, w.sum(dim=-2).unsqueeze(-1) * psi - w.mT @ phi


def dot(phi: Float[Tensor, "*N B D"], psi: Float[Tensor, "*N K D"]) -> Float[Tensor, "*N B K"]:
    """phi_i psi_j."""
    return phi @ psi.mT


def cosine(phi: Float[Tensor, "*N B D"], psi: Float[Tensor, "*N K D"]) -> Float[Tensor, "*N B K"]:
    """phi_i psi_j / (|phi_i| |psi_j|): each row by its own norm."""
    return F.normalize(phi, dim=-1) @ F.normalize(psi, dim=-1).mT


Similarity = Callable[[Tensor, Tensor], Tensor]
SIMILARITIES: dict[str, Similarity] = {"l2": l2, "dot": dot, "cosine": cosine, "mixture": mixture}


def of_rows(name: str, phi: Float[Tensor, "B P"], psi: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
    """Return the similarity of each phi with the psi of its own row."""
    return SIMILARITIES[name](phi[:, None], psi[:, None])[:, 0, 0]
