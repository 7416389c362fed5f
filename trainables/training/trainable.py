"""A trainable: one record, `TrainableSpec`, and the epochs that its loop yields to its caller.

Its loop is `epochs(config, ...) -> Iterator[Epoch]` and knows nothing of Ray: the caller reports, saves and stops. The
same loop serves a test, a trial and a group of workers. Nothing here imports torch: a record's `load` imports what does
when a process trains or uses a model, so that commands start fast.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainables.training.metric import Metric, MetricSet


@dataclass(frozen=True)
class Epoch:
    """The state after one epoch.

    Attributes:
        number: 0 is the untrained model.
        metrics: Only what was computed in this epoch; names from `trainables.training.metric_names`.
        save: Writes a checkpoint, whole or not at all, as a folder that must not exist yet.
        plots: Makes the plots of this epoch, by their names in TensorBoard, as pixels [height, width, channels] of
            uint8; None where a trainable has none.
        milestone: Name under which the folder of a run keeps the checkpoint of this epoch; empty: it keeps the last
            and the best alone.
    """

    number: int
    metrics: Mapping[str, float]
    save: Callable[[Path], None]
    plots: Callable[[], Mapping[str, Any]] | None = None
    milestone: str = ""


def metrics_of(result: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a result under our names: those with a slash, but for the parameters that Tune repeats."""
    ours = {name: value for name, value in result.items() if "/" in name and not name.startswith("config/")}
    numbers = {name: float(value) for name, value in ours.items() if isinstance(value, int | float)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


class TrainingDivergedError(RuntimeError):
    """The loss became NaN or infinite: the run ends, nothing is skipped."""


Epochs = Callable[..., Iterator[Epoch]]
"""The loop of a trainable: (config, *, resume: Path | None, worker: Worker) -> epochs."""


Notes = Callable[[Mapping[str, float]], Sequence[str]]
"""Metrics of an epoch by name -> lines about it that are printed beside them."""


def no_notes(line: Mapping[str, float]) -> Sequence[str]:
    """Return none, as for most trainables."""
    return ()


@dataclass(frozen=True)
class Cost:
    """Measured cost of a run on this machine.

    Attributes:
        step_s: Seconds of an optimisation step.
        evaluation_s: Seconds of one evaluation.
        checkpoint_bytes: Size of one checkpoint on disk, of a run of one process.
        worker_bytes: What each further worker adds to it.
    """

    step_s: float
    steps_per_epoch: int
    evaluation_s: float
    checkpoint_bytes: int
    worker_bytes: int = 0

    @property
    def epoch_s(self) -> float:
        """Seconds of an epoch and its evaluation."""
        return self.steps_per_epoch * self.step_s + self.evaluation_s

    def checkpoint_of(self, processes: int) -> int:
        """Return the bytes of a checkpoint of so many processes."""
        return self.checkpoint_bytes + (processes - 1) * self.worker_bytes


@dataclass(frozen=True)
class TrainableParts:
    """Parts of a trainable that a process which trains or uses a model needs.

    Attributes:
        epochs: The training loop.
        measure: Configuration -> what a run will cost on this machine.
        load_model: (checkpoint, device) -> the trained model; raises CheckpointError.
        check_processes: (checkpoint, configuration, processes) raises CheckpointError where so many processes cannot
            resume the run of a checkpoint.
        require_shares: (configuration, processes) raises ConfigError where so many processes cannot share the work.
    """

    epochs: Epochs
    measure: Callable[[Any], Cost]
    load_model: Callable[..., Any]
    check_processes: Callable[[Path, Any, int], None] = lambda checkpoint, config, processes: None
    require_shares: Callable[[Any, int], None] = lambda config, processes: None


@dataclass(frozen=True)
class ModelType:
    """Type of a trained model, which decides how it is evaluated, plotted and promoted.

    Attributes:
        name: The key of what needs code of its own by type: evaluation, reference, plots, timed work.
        metrics: The metrics that every trainable of this type reports, and how models are ranked and shown by them.
        registry: The folder of its champions below a storage path.
    """

    name: str
    metrics: MetricSet
    registry: str


@dataclass(frozen=True)
class TrainableSpec:
    """All that commands, searches and reports know of a trainable.

    Attributes:
        name: On the command line, in the records of its checkpoints (`kind`), and of configs/trainable/NAME.yaml.
        about: One line for the help of commands.
        config: The frozen dataclass of its configuration.
        model_type: What its trained model does, with metrics, evaluation, plots and registry.
        space: The search space (a name of `search_spaces.SPACES`) of a sweep that names none.
        load: Imports and returns its parts.
        other_spaces: Its other search spaces.
        notes: Lines about an epoch beside its metrics, from these metrics by name.
        own_metrics: Those that its training loop reports in every epoch, beside those of all models of its type.
    """

    name: str
    about: str
    config: type[Any]
    model_type: ModelType
    space: str
    load: Callable[[], TrainableParts]
    other_spaces: tuple[str, ...] = ()
    notes: Notes = no_notes
    own_metrics: tuple[Metric[Any], ...] = ()

    @property
    def metrics(self) -> MetricSet:
        """The metrics that its models are ranked by, its own among them."""
        shared = self.model_type.metrics
        return replace(shared, metrics=(*shared.metrics, *self.own_metrics))

    @property
    def reported(self) -> tuple[str, ...]:
        """Names of the metrics that its trials report, by which a search can choose among them."""
        return tuple(metric.name for metric in self.metrics.metrics if metric.reported)

    def with_parts(self, **parts: Any) -> "TrainableSpec":
        """Return the same trainable with other parts, by their names in `TrainableParts`: a stand-in for a test."""
        return replace(self, load=lambda: replace(self.load(), **parts))
