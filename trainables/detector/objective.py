"""Loss of a detector: cross-entropy, a contrastive loss per embedding, and a bound on their mutual information.

    total = BCE + w_task L(task embedding, task) + w_emb L(embodiment embedding, bot) + w_club I_CLUB(task; embodiment)

Cross-entropy is a mean over the rows of a worker; the other terms compare rows with each other, so they are taken over
the rows of all workers (`trainables.contrastive.gather`). A term of weight 0 is not computed.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from trainables.contrastive.club import CLUB, inner_steps, standardised
from trainables.contrastive.gather import gather
from trainables.contrastive.supervised import supervised_contrastive
from trainables.detector.config import LossConfig
from trainables.detector.dataset.training_set import Targets
from trainables.detector.model import Outputs


class Losses(NamedTuple):
    """Loss and its terms before weighting; None for a term that is not computed."""

    total: Float[Tensor, ""]
    cross_entropy: Float[Tensor, ""]
    task: Float[Tensor, ""] | None = None
    embodiment: Float[Tensor, ""] | None = None
    club: Float[Tensor, ""] | None = None


def cross_entropy(
    logit: Float[Tensor, "B"], bot: Float[Tensor, "B"], weight: Float[Tensor, "B"] | None = None
) -> Float[Tensor, ""]:
    """Return the mean over the rows of weight times -log p(label)."""
    return F.binary_cross_entropy_with_logits(logit, bot, weight)


def detector_loss(
    outputs: Outputs,
    targets: Targets,
    weight: Float[Tensor, "B"] | None,
    config: LossConfig,
    club: CLUB,
    optimizer: torch.optim.Optimizer,
) -> Losses:
    """Return the loss of a batch; if the bound has a weight, its own network takes its steps first."""
    plain = cross_entropy(outputs.logit, targets.bot, weight)
    if not (config.task_weight or config.embodiment_weight or config.club_weight):
        return Losses(plain, plain)
    directions = (F.normalize(outputs.task, dim=1), F.normalize(outputs.embodiment, dim=1))
    task, embodiment, tasks, bodies = gather(*directions, targets.task, targets.embodiment)
    temperature = config.temperature
    terms = {
        "task": supervised_contrastive(task, tasks, temperature) if config.task_weight else None,
        "embodiment": supervised_contrastive(embodiment, bodies, temperature) if config.embodiment_weight else None,
        "club": _bound(club, optimizer, task, embodiment, config.club_steps) if config.club_weight else None,
    }
    weighted = [getattr(config, f"{name}_weight") * term for name, term in terms.items() if term is not None]
    return Losses(plain + torch.stack(weighted).sum(), plain, **terms)


def _bound(
    club: CLUB,
    optimizer: torch.optim.Optimizer,
    task: Float[Tensor, "N E"],
    embodiment: Float[Tensor, "N E"],
    steps: int,
) -> Float[Tensor, ""]:
    """Return the bound, whose gradient reaches the task embedding alone: a detector needs the other one."""
    task, embodiment = standardised(task), embodiment.detach()
    inner_steps(club, optimizer, task, embodiment, steps)
    return club.upper_bound(task, embodiment)
