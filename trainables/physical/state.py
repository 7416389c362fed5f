"""The state of a fit, its components, and their way into a checkpoint and back, bit for bit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, rotate
from trainables.data.splits.data_splits import DataSplits
from trainables.generation.conditions import Conditions, conditions_of, generator_record
from trainables.generation.training_state import identity
from trainables.physical.config import PhysicalConfig
from trainables.physical.extraction import StrokeSets
from trainables.physical.fit import extracted
from trainables.physical.forms import FORMS
from trainables.physical.least_squares import Optimised
from trainables.physical.pointer_rounding import fitted_play
from trainables.physical.population import Components
from trainables.physical.quality import Quality, quality
from trainables.physical.residual_noise import noise_shares
from trainables.physical.stroke_form import StrokeForm
from trainables.physical.trajectories import Trajectories
from trainables.training.checkpoint import flatten, resumed, save_checkpoint, select

KIND = "physical"


@dataclass(frozen=True, eq=False)
class FittedMovements:
    """The training movements that are fitted.

    Attributes:
        rows: Their rows in the training split, ascending.
        origin: What the rows are of, for errors.
    """

    rows: Int[Tensor, "N"]
    movements: Canonical
    trajectories: Trajectories
    form: StrokeForm
    conditions: Conditions
    origin: str = "the training split"

    @classmethod
    def of(cls, training: Canonical, config: PhysicalConfig) -> "FittedMovements":
        """Return the training movements, or as many of them by chance as the configuration takes."""
        rows = torch.arange(len(training))
        if len(rows) > config.fit.movements:
            chosen = torch.randperm(len(rows), generator=generator(config.seed, "fitted"))
            rows = chosen[: config.fit.movements].sort().values
        return cls.at(rows, training, config)

    @classmethod
    def at(cls, rows: Int[Tensor, "N"], movements: Canonical, config: PhysicalConfig) -> "FittedMovements":
        """Return the movements at `rows`."""
        chosen = movements.take(rows)
        trajectories = Trajectories.of(chosen, config.data.canonical)
        return cls(rows, chosen, trajectories, FORMS[config.fit.form], conditions_of(chosen))


@dataclass(frozen=True, eq=False)
class State:
    """Everything that a fit changes."""

    optimised: Optimised
    epoch: int = 0

    @classmethod
    def initial(cls, fitted: FittedMovements) -> "State":
        """Return the initial values of all strokes."""
        return cls(extracted(fitted.trajectories, fitted.form))

    def tensors(self) -> dict[str, Tensor]:
        """Return strokes, damping and loss by name."""
        strokes = self.optimised.strokes
        loss = torch.where(self.optimised.loss.isfinite(), self.optimised.loss, -1.0)
        return {"free": strokes.free, "present": strokes.present, "damping": self.optimised.damping, "loss": loss}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], epoch: int) -> "State":
        """Inverse of `tensors`."""
        strokes = StrokeSets(tensors["free"], tensors["present"])
        loss = torch.where(tensors["loss"] < 0, torch.inf, tensors["loss"])
        return cls(Optimised(strokes, tensors["damping"], loss), epoch)


def quality_of(state: State, fitted: FittedMovements) -> Quality:
    """Return the ratios of all fitted movements."""
    path = state.optimised.strokes.path(fitted.form, fitted.trajectories.t_s)
    return quality(path, fitted.trajectories)


def population_components(
    state: State, fitted: FittedMovements, weight: Float[Tensor, "N"] | None = None
) -> Components:
    """Return the components of the movements that strokes fit, with their noise and the play of their pixels.

    Args:
        weight: Of all fitted movements in the mixture; None: they count alike.
    """
    rows = quality_of(state, fitted).fitted.nonzero().squeeze(1)
    trajectories, strokes = fitted.trajectories.take(rows), state.optimised.strokes.take(rows)
    path = strokes.path(fitted.form, trajectories.t_s)
    angle: Float[Tensor, N] = fitted.movements.angle.double()[rows]
    screen, recorded = rotate(path, angle), rotate(trajectories.position_px, angle).round()
    play = fitted_play(screen, recorded, trajectories.ticks[:, 1:]) if len(rows) else 0.5
    own = None if weight is None else weight[rows]
    return Components(strokes, noise_shares(path, trajectories), fitted.conditions.take(rows), play, own)


def components_of(tensors: Mapping[str, Tensor]) -> Components:
    """Return the components that a checkpoint holds."""
    own = select("components", tensors)
    strokes = StrokeSets(own["free"], own["present"])
    conditions = Conditions(own["raw"], own["angle"], own["source"])
    return Components(strokes, own["noise"], conditions, float(own["play"]), own.get("weight"))


def save_state(state: State, components: Components, config: PhysicalConfig, splits: DataSplits, folder: Path) -> None:
    """Write the state, the components, and what sampling needs beside them, as a checkpoint."""
    progress = {"epoch": state.epoch, "step": state.epoch * config.fit.iterations}
    tensors = {
        **flatten("fit", state.tensors()),
        **flatten("components", components.state_dict()),
        **generator_record(splits),
    }
    save_checkpoint(folder, tensors, {**identity(KIND, config, splits), **progress})


def restored_state(config: PhysicalConfig, splits: DataSplits, folder: Path) -> State:
    """Return the state from a checkpoint of the same run.

    Raises:
        CheckpointError: The checkpoint is of another configuration or other data, or incomplete.
    """
    with resumed(folder, KIND, config, splits.sha256) as (tensors, record):
        return State.of_tensors(select("fit", tensors), record["epoch"])
