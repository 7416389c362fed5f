"""The place of a process among those that train one model together."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from trainables.core.config import require


@dataclass(frozen=True)
class Worker:
    """The place of this process among those that train one model together.

    Attributes:
        wrap: Makes a model's gradients common to all workers (DDP); the identity for one worker.
        mean: The mean of a tensor over all workers, without gradient; every worker has to ask for it.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    wrap: Callable[[nn.Module], nn.Module] = lambda model: model
    mean: Callable[[Tensor], Tensor] = lambda value: value


ALONE = Worker()
"""One process on the CPU."""


def decided_by_first(worker: Worker, mine: bool) -> bool:
    """Return what rank 0, which alone evaluates, has decided; every worker has to ask for it."""
    decided = float(worker.rank == 0 and mine)
    return worker.mean(torch.tensor(decided, device=worker.device)).item() > 0


def require_equal_shares(worker: Worker, batch_size: int) -> None:
    """Raise ConfigError unless every worker has as many rows of a batch as any other."""
    divides = batch_size % worker.world_size == 0
    require(divides, "`workers` to divide `batch_size`", f"workers={worker.world_size}, batch_size={batch_size}")
