"""Everything that a distillation changes; each of its checkpoints is one of a diffusion, which samples by itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from trainables.data.splits.data_splits import DataSplits
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.state import KIND, initial_state
from trainables.diffusion.state import State as StudentState
from trainables.distillation.config import DistillConfig, Stage
from trainables.distillation.teacher import Teacher, without_estimates
from trainables.generation.training_state import save_training_state
from trainables.training.checkpoint import CheckpointError, flatten, resumed, select
from trainables.training.checkpoint_record import DISTILLATION, load_record
from trainables.training.worker import Worker


@dataclass
class State:
    """The student, and the network of which it makes one call where that makes two.

    Attributes:
        parent: The teacher in the first stage, then the student of the stage before.
    """

    student: StudentState
    parent: nn.Module

    def begin_stage(self) -> None:
        """Make the averaged student the parent, and begin from its weights without moments."""
        averaged = self.student.ema.model.state_dict()
        self.parent.load_state_dict(averaged)
        self.student.model.load_state_dict(averaged)
        self.student.optimizer.state.clear()
        self.student.ema.updates = 0


def untrained_state(config: DiffusionConfig, teacher: Teacher, worker: Worker) -> State:
    """Return the state before the first step: the weights of the teacher.

    Args:
        config: Of the student.
    """
    student = initial_state(config, worker, teacher.generator.statistics.condition_width)
    weights = teacher.generator.model.state_dict()
    student.model.load_state_dict(weights)
    student.ema.model.load_state_dict(weights)
    if student.autoencoder is not None:
        student.autoencoder.load_state_dict(teacher.autoencoder)
    return State(student, without_estimates(teacher.generator.model).to(worker.device).eval())


def account_of(config: DistillConfig, stage: Stage, teacher: Teacher) -> dict[str, Any]:
    """Return what the record of a checkpoint says of its distillation."""
    return {
        "teacher_sha256": teacher.weights_sha256,
        "teacher_calls": config.teacher_calls,
        "calls": stage.calls,
        "last_calls": config.calls,
        "weighting": config.weighting,
    }


def save_state(state: State, config: DistillConfig, teacher: Teacher, splits: DataSplits, folder: Path) -> None:
    """Write the state as a checkpoint of a diffusion that samples in the network calls of its stage."""
    stage = config.stage_of(state.student.epoch)
    save_training_state(
        folder,
        KIND,
        teacher.student_config(config, stage.calls),
        splits,
        state.student,
        tensors=flatten("parent", state.parent.state_dict()),
        record={"patience": vars(state.student.patience), DISTILLATION: account_of(config, stage, teacher)},
    )


def restore_state(state: State, config: DistillConfig, teacher: Teacher, splits: DataSplits, folder: Path) -> None:
    """Restore the state from a checkpoint of the same run.

    Raises:
        CheckpointError: The checkpoint is of another configuration, teacher or data, or incomplete.
    """
    record = load_record(folder)
    stage = config.stage_of(min(record.get("epoch", 0), config.epochs))
    if record.get(DISTILLATION) != account_of(config, stage, teacher):
        raise CheckpointError(f"{folder}: the checkpoint is of another distillation; start a new run instead")
    with resumed(folder, KIND, teacher.student_config(config, stage.calls), splits.sha256) as (tensors, record):
        state.student.load(tensors, record)
        state.student.step, state.student.epoch = record["step"], record["epoch"]
        state.student.ema.updates = record["ema_updates"]
        state.parent.load_state_dict(select("parent", tensors))
