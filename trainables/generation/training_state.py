"""Save the state of a training as a checkpoint and restore it in the same run, bit for bit; for every trainable."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from trainables.core.config import plain
from trainables.data.splits.data_splits import DataSplits
from trainables.data.training_users import USERS, TrainingUsers
from trainables.generation.conditions import generator_record
from trainables.nn.ema import ExponentialMovingAverage
from trainables.training.checkpoint import resumed, save_checkpoint


@runtime_checkable  # for the checks of types in tests
class TrainingState(Protocol):
    """Everything that a training changes; `ema` is the average of the weights that are evaluated."""

    step: int
    epoch: int
    ema: ExponentialMovingAverage

    def tensors(self) -> Mapping[str, Tensor]:
        """Return weights, moments of the optimisers and averages by name."""

    def load(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Load what `tensors` returned, and what else the state keeps in the record of its checkpoint."""


def save_training_state(
    folder: Path,
    kind: str,
    config: Any,
    splits: DataSplits,
    state: TrainingState,
    *,
    tensors: Mapping[str, Tensor] | None = None,
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write a state, and the statistics, conditions and users of its training, as a checkpoint.

    Args:
        kind: Name of the trainable.
        config: The dataclass with its whole configuration.
        tensors, record: What the trained model needs beside them.
    """
    progress = {"epoch": state.epoch, "step": state.step, "ema_updates": state.ema.updates}
    everything = {**state.tensors(), **generator_record(splits), **(tensors or {})}
    save_checkpoint(folder, everything, {**(record or {}), **identity(kind, config, splits), **progress})


def identity(kind: str, config: Any, splits: DataSplits) -> dict[str, Any]:
    """Return what the record of a generator's checkpoint says of its run: kind, configuration, data, form, users."""
    owners = {name: split.group for name, split in splits.splits.items()}
    return {
        "kind": kind,
        "config": plain(config),
        "data_sha256": splits.sha256,
        "sources": sorted(set(splits["train"].source)),
        "frame": splits.statistics.frame,
        "ends": splits.statistics.ends,
        USERS: TrainingUsers.of_owners(owners).to_json(),
    }


def restore_training_state(folder: Path, kind: str, config: Any, splits: DataSplits, state: TrainingState) -> None:
    """Restore every changing part of a state from a checkpoint of the same run.

    Raises:
        CheckpointError: The checkpoint is of another configuration or other data, or incomplete.
    """
    with resumed(folder, kind, config, splits.sha256) as (tensors, record):
        state.load(tensors, record)
        state.step, state.epoch, state.ema.updates = record["step"], record["epoch"], record["ema_updates"]
