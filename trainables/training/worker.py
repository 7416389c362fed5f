"""The place of a process among those that train one model together."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


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
