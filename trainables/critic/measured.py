"""What is logged of a batch of a critic: accuracy, values and norms, all computed from its pairs and embeddings."""

import torch
from torch import Tensor

from trainables.critic.losses import Pairs, diagnostics
from trainables.critic.networks import Embeddings
from trainables.training import metric_names as names

DIAGNOSTICS = (
    names.TRAIN_GOAL_ACCURACY,
    names.TRAIN_POSITIVE,
    names.TRAIN_NEGATIVE,
    names.TRAIN_LOGSUMEXP,
    names.TRAIN_MASKED,
)
"""Names of the fields of `trainables.critic.losses.Diagnostics`."""


@torch.no_grad()
def measured(pairs: Pairs, embeddings: Embeddings) -> dict[str, float]:
    """Return the diagnostics of the pairs and the mean norms of both embeddings by their names in the log."""
    found = dict(zip(DIAGNOSTICS, map(Tensor.item, diagnostics(pairs)), strict=True))
    phi, psi = (part.norm(dim=1).mean().item() for part in embeddings)
    return {**found, names.TRAIN_PHI_NORM: phi, names.TRAIN_PSI_NORM: psi}
