"""Supervised contrastive loss: rows of one label near each other, all others apart.

For an anchor i with the embedding z_i of length 1, the positives P(i), which are the other rows of its label, and the
others A(i), which are all rows but i itself,

    L_i = -1/|P(i)|  sum_{p in P(i)}  log( exp(z_i . z_p / tau) / sum_{a in A(i)} exp(z_i . z_a / tau) )

and the loss is the mean of L_i over the anchors that have a positive; an anchor is never a target of itself. Only
directions count: neither the length of an embedding nor a rotation of all of them changes the loss. One of length 0 has
no direction and lies across all others.

The least of L_i is no 0: among |P(i)| equal positives it is log |P(i)|, so that losses of batches with other labels
are not comparable.

References: Supervised Contrastive Learning (Khosla et al., 2020), eq. 2 (L_out), arXiv:2004.11362.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

TEMPERATURE = 0.07


def supervised_contrastive(
    embeddings: Float[Tensor, "B E"], labels: Int[Tensor, "B"], temperature: float = TEMPERATURE
) -> Float[Tensor, ""]:
    """Mean of L_i over the anchors that have a positive.

    If none has one it is 0, with a gradient of zeros: under data-parallel workers a backward pass without this term
    would leave the others waiting.

    Args:
        embeddings: Of any length; normalised here.
        temperature: tau > 0.
    """
    z = F.normalize(embeddings, dim=1)
    similarity = z @ z.T / temperature
    themselves = torch.eye(len(z), dtype=torch.bool, device=z.device)
    log_others = similarity.masked_fill(themselves, torch.finfo(similarity.dtype).min).logsumexp(dim=1)
    positive = positive_pairs(labels)
    count = positive.sum(dim=1)
    drawn = (similarity * positive).sum(dim=1) / count.clamp(min=1)
    anchors = count > 0
    return ((log_others - drawn) * anchors).sum() / anchors.sum().clamp(min=1)


def positive_pairs(labels: Int[Tensor, "B"]) -> Bool[Tensor, "B B"]:
    """Whether another row has the label of this one; a row without any is no anchor.

    >>> positive_pairs(torch.tensor([5, 7, 5])).any(dim=1).tolist()
    [True, False, True]
    """
    same = labels[:, None] == labels
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
