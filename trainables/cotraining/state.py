"""Both models, their accepted versions and the record of the cycles, and their way into a checkpoint and back.

Inside a cycle a checkpoint holds the diffusion twice: as it is, and as it was accepted. The physical model changes in
the last epoch of a cycle alone, in which it is decided, so that it is always the accepted one. Movements that one model
made for the other are in no checkpoint.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainables.core.config import plain
from trainables.cotraining.config import CotrainingConfig
from trainables.cotraining.decision import SideEvaluation
from trainables.data.splits.data_splits import DataSplits
from trainables.diffusion.state import EarlyStopping
from trainables.diffusion.state import State as DiffusionState
from trainables.generation.conditions import generator_record
from trainables.generation.training_state import identity
from trainables.physical.population import Components
from trainables.physical.state import KIND as PHYSICAL
from trainables.physical.state import FittedMovements, components_of, population_components
from trainables.physical.state import State as PhysicalState
from trainables.training.checkpoint import (
    CheckpointError,
    flatten,
    load_checkpoint_of,
    resumed,
    save_checkpoint,
    select,
    weights_that_fit,
)
from trainables.training.checkpoint_record import require_same_data

KIND = "cotraining"


@dataclass
class State:
    """Everything that a co-training changes.

    Attributes:
        components: Of the population of the physical model.
        accepted: Tensors of the diffusion before the cycle; none outside of one.
        accepted_updates: Updates of its average then.
        evaluations: Of the models as they are; empty but on rank 0.
        before: Of the diffusion before the cycle.
        account: What the models of the present cycle were trained on.
        cycles: Record of each whole cycle.
        stale: Cycles in succession that both models lost.
    """

    diffusion: DiffusionState
    physical: PhysicalState
    components: Components
    epoch: int = 0
    accepted: dict[str, Tensor] = field(default_factory=dict)
    accepted_updates: int = 0
    evaluations: dict[str, SideEvaluation] = field(default_factory=dict)
    before: SideEvaluation | None = None
    account: dict[str, Any] = field(default_factory=dict)
    cycles: list[dict[str, Any]] = field(default_factory=list)
    stale: int = 0

    def begin_cycle(self) -> None:
        """Keep the diffusion as it is, to revert to."""
        self.accepted = {name: tensor.detach().clone() for name, tensor in self.diffusion.tensors().items()}
        self.accepted_updates = self.diffusion.ema.updates
        self.before = self.evaluations.get("diffusion")
        self.account = {}

    def revert_diffusion(self) -> None:
        """Bring weights, averages and moments back as they were; the counters of steps and epochs are not.

        So the learning rate keeps falling, and no randomness is used twice.
        """
        self.diffusion.load(self.accepted, {"patience": vars(EarlyStopping())})
        self.diffusion.ema.updates = self.accepted_updates
        if self.before is not None:
            self.evaluations["diffusion"] = self.before

    def end_cycle(self) -> None:
        """Drop what only a cycle needs."""
        self.accepted, self.before, self.account = {}, None, {}

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name."""
        return {
            **flatten("diffusion", self.diffusion.tensors()),
            **flatten("accepted", self.accepted),
            **flatten("physical", flatten("fit", self.physical.tensors())),
            **flatten("physical", flatten("components", self.components.state_dict())),
        }

    def record(self) -> dict[str, Any]:
        """Return everything else, as plain values."""
        return {
            "epoch": self.epoch,
            "step": self.diffusion.step,
            "diffusion": {"epoch": self.diffusion.epoch, "ema_updates": self.diffusion.ema.updates},
            "physical": {"epoch": self.physical.epoch},
            "accepted_updates": self.accepted_updates,
            "evaluations": {side: found.to_json() for side, found in self.evaluations.items()},
            "before": self.before.to_json() if self.before else None,
            "account": self.account,
            "cycles": self.cycles,
            "stale": self.stale,
        }


def initial_fit(config: CotrainingConfig, fitted: FittedMovements, data_sha256: str) -> PhysicalState:
    """Return the initial values of all strokes, or the strokes of the given checkpoint of a physical model.

    Raises:
        CheckpointError: It is not a whole one of the same data, or was fitted with other keys.
    """
    if not config.physical_checkpoint:
        return PhysicalState.initial(fitted)
    checkpoint = Path(config.physical_checkpoint)
    tensors, record = load_checkpoint_of(PHYSICAL, checkpoint)
    require_same_data(checkpoint, record, data_sha256)
    ours, theirs = plain(config), record["config"]
    for key, mine, other in (
        ("fit.form", ours["fit"]["form"], theirs["fit"]["form"]),
        ("fit.movements", ours["fit"]["movements"], theirs["fit"]["movements"]),
        ("seed", ours["seed"], theirs["seed"]),
        ("data.canonical", ours["data"]["canonical"], theirs["data"]["canonical"]),
    ):
        if mine != other:
            raise CheckpointError(f"{checkpoint}: expected a physical model of {key}={mine}, but got {other}; fit one")
    with weights_that_fit(checkpoint):
        return PhysicalState.of_tensors(select("fit", tensors), 0)


def initial_state(diffusion: DiffusionState, physical: PhysicalState, fitted: FittedMovements) -> State:
    """Return the state before the first epoch."""
    return State(diffusion, physical, population_components(physical, fitted))


def save_state(state: State, samples_from: str, config: CotrainingConfig, splits: DataSplits, folder: Path) -> None:
    """Write the state, and what sampling needs beside it, as a checkpoint.

    Args:
        samples_from: The model that it samples from.
    """
    record = {**state.record(), **identity(KIND, config, splits), "samples_from": samples_from}
    save_checkpoint(folder, {**state.tensors(), **generator_record(splits)}, record)


def restore_state(diffusion: DiffusionState, config: CotrainingConfig, splits: DataSplits, folder: Path) -> State:
    """Return the state from a checkpoint of the same run; `diffusion` is filled.

    Raises:
        CheckpointError: The checkpoint is of another configuration or other data, or incomplete.
    """
    with resumed(folder, KIND, config, splits.sha256) as (tensors, record):
        diffusion.load(select("diffusion", tensors), {"patience": vars(EarlyStopping())})
        diffusion.step, own = record["step"], record["diffusion"]
        diffusion.epoch, diffusion.ema.updates = own["epoch"], own["ema_updates"]
        physical, before = select("physical", tensors), record["before"]
        return State(
            diffusion,
            PhysicalState.of_tensors(select("fit", physical), record["physical"]["epoch"]),
            components_of(physical),
            record["epoch"],
            {name: tensor.to(own_device(diffusion)) for name, tensor in select("accepted", tensors).items()},
            record["accepted_updates"],
            {side: SideEvaluation.of_json(found) for side, found in record["evaluations"].items()},
            SideEvaluation.of_json(before) if before else None,
            record["account"],
            record["cycles"],
            record["stale"],
        )


def own_device(diffusion: DiffusionState) -> torch.device:
    """Return the device of a network."""
    return next(diffusion.model.parameters()).device
