"""Similarities of embeddings, phi of each row against psi of each column, without a [B, K, D] tensor.

l2 has the gradient of a distance: a unit vector, whatever the distance. Where both embeddings are equal it would be NaN
without the EPS under the root.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from trainables.critic.mixture import mixture

EPS = 1e-6  # added to a squared distance of embeddings


def l2(phi: Float[Tensor, "B D"], psi: Float[Tensor, "K D"]) -> Float[Tensor, "B K"]:
    """-sqrt(|phi_i - psi_j|^2 + EPS), by |phi_i|^2 + |psi_j|^2 - 2 phi_i psi_j.

    The expanded square loses digits where embeddings are long beside their distance. Distances do not depend on the
    origin, so that it is moved to the centre of psi first.
    """
    centre = psi.detach().mean(dim=0)
    phi, psi = phi - centre, psi - centre
    squares = phi.square().sum(dim=1)[:, None] + psi.square().sum(dim=1)
    return -((squares - 2 * phi @ psi.T).clamp(min=0) + EPS).sqrt()


def dot(phi: Float[Tensor, "B D"], psi: Float[Tensor, "K D"]) -> Float[Tensor, "B K"]:
    """phi_i psi_j."""
    return phi @ psi.T


def cosine(phi: Float[Tensor, "B D"], psi: Float[Tensor, "K D"]) -> Float[Tensor, "B K"]:
    """phi_i psi_j / (|phi_i| |psi_j|): each row by its own norm."""
    return F.normalize(phi, dim=1) @ F.normalize(psi, dim=1).T


Similarity = Callable[[Tensor, Tensor], Tensor]
SIMILARITIES: dict[str, Similarity] = {"l2": l2, "dot": dot, "cosine": cosine, "mixture": mixture}
