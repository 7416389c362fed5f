"""What passes between a training loop and whoever runs it: epochs go out, the worker's place comes in.

A trainable is a module with a frozen config dataclass and `epochs(config, ...) -> Iterator[Epoch]`. It knows nothing of
Ray: the caller reports, saves and stops. The same loop serves a test, a trial and a group of workers.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Epoch:
    """The state after one epoch.

    Attributes:
        number: 0 is the untrained model.
        metrics: Only what was computed in this epoch; names from `trainables.training.metric_names`.
        save: Writes a checkpoint, whole or not at all, as a folder that must not exist yet.
    """

    number: int
    metrics: Mapping[str, float]
    save: Callable[[Path], None]


def metrics_of(result: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a result under our names: those with a slash, but for the parameters that Tune repeats."""
    ours = {name: value for name, value in result.items() if "/" in name and not name.startswith("config/")}
    numbers = {name: float(value) for name, value in ours.items() if isinstance(value, int | float)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


class TrainingDivergedError(RuntimeError):
    """The loss became NaN or infinite: the run ends, nothing is skipped."""


@dataclass(frozen=True)
class Worker:
    """The place of this process among those that train one model together.

    Attributes:
        wrap: Makes a model's gradients common to all workers (DDP); the identity for one worker.
        mean: The mean of a number over all workers, without gradient; every worker has to ask for it.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    wrap: Callable[[nn.Module], nn.Module] = lambda model: model
    mean: Callable[[Tensor], Tensor] = lambda value: value


ALONE = Worker()
"""One process on the CPU."""


Epochs = Callable[..., Iterator[Epoch]]
"""The loop of a trainable: (config, *, resume: Path | None, worker: Worker) -> epochs."""


@dataclass(frozen=True)
class Cost:
    """What a run costs on this machine, measured.

    Attributes:
        step_s: Seconds of an optimisation step.
        evaluation_s: Seconds of one evaluation.
        checkpoint_bytes: Size of one checkpoint on disk.
    """

    step_s: float
    steps_per_epoch: int
    evaluation_s: float
    checkpoint_bytes: int

    @property
    def epoch_s(self) -> float:
        """Seconds of an epoch and its evaluation."""
        return self.steps_per_epoch * self.step_s + self.evaluation_s


@dataclass(frozen=True)
class Trainable:
    """A config dataclass, the loop that takes it, and a measurement of what the loop will cost."""

    config: type[Any]
    epochs: Epochs
    measure: Callable[[Any], Cost]
