"""The place of a process among those that train one model together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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


MULTIPLE = "set batch_size to a multiple"

ALONE = Worker()
"""One process on the CPU."""


def decided_by_first(worker: Worker, mine: bool) -> bool:
    """Return what rank 0, which alone evaluates, has decided; every worker has to ask for it."""
    decided = float(worker.rank == 0 and mine)
    return worker.mean(torch.tensor(decided, device=worker.device)).item() > 0


def require_equal_shares(config: Any, workers: int) -> None:
    """Raise ConfigError unless the workers divide the `batch_size` of a configuration."""
    got = f"workers={workers}, batch_size={config.batch_size}"
    require(config.batch_size % workers == 0, "`workers` to divide `batch_size`", got, MULTIPLE)


def require_equal_parts(config: Any, workers: int) -> None:
    """Raise ConfigError unless the workers divide each of the `optim.accumulate` parts of a batch."""
    got = f"workers={workers}, accumulate={config.optim.accumulate}, batch_size={config.batch_size}"
    divides = config.batch_size % (workers * config.optim.accumulate) == 0
    require(divides, "`workers * accumulate` to divide `batch_size`", got, MULTIPLE)
