"""One cell of `benchmarks.scarce_data`: train a diffusion on few movements, and evaluate it on test users.

Everything that is learnt, fitted or decided sees the data of the cell alone (`scarce_grid.scarce_splits`): the counted
training movements, to which the strokes are fitted as well, and for the cycles of a co-training the validation users.
The reference of the evaluation is the same for all cells of a source: the floor of a probe is its AUC for movements of
training users, all of them, whatever part of them a cell was trained on.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.support.evaluated import estimates, plain_means, validator_of
from benchmarks.support.scarce_grid import (
    COTRAINING,
    NOTHING,
    PHYSICAL,
    Cell,
    Grid,
    cotraining_config,
    data_of,
    diffusion_config,
    physical_config,
    scarce_splits,
    subset_rows,
)
from trainables.augmentation.config import AugmentationConfig
from trainables.core.config import ConfigError
from trainables.cotraining.config import SIDES
from trainables.cotraining.models import Models
from trainables.cotraining.train import later_epochs, untrained_state
from trainables.data.canonical import Canonical
from trainables.data.config import DataConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.diffusion import loop
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.objective import Objective
from trainables.diffusion.samplers import SamplingDivergedError
from trainables.diffusion.validation import sampler_of
from trainables.physical.config import PhysicalConfig
from trainables.physical.state import FittedMovements, State, population_components, save_state
from trainables.physical.train import next_state
from trainables.training.trainable import TrainingDivergedError
from trainables.training.worker import ALONE

Sample = Callable[[Canonical, int], Canonical]
"""(movements whose conditions are taken, seed) -> one sample for each."""
FAILURES = (ConfigError, SamplingDivergedError, TrainingDivergedError)


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained diffusion, and plain values of what it was trained on."""

    sample: Sample
    account: Mapping[str, Any]


def run_cell(cell: Cell, grid: Grid, table: Path) -> dict[str, Any]:
    """Train and evaluate one cell; return its results as plain values, or the reason why it has none."""
    torch.set_num_threads(1)
    began, data = time.perf_counter(), data_of(table)
    found: dict[str, Any] = {}
    try:
        splits = splits_of(cell, grid, data)
        trained = train(cell, grid, data, splits)
        found = {"training": account_of(splits["train"]) | dict(trained.account), **evaluate(trained, grid, data)}
    except FAILURES as error:
        found = {"failure": " ".join(str(error).split())}
    return {"cell": cell.name, **found, "seconds": round(time.perf_counter() - began, 1)}


def splits_of(cell: Cell, grid: Grid, data: DataConfig) -> DataSplits:
    """Return the data of a cell."""
    splits = load_splits(data)
    return scarce_splits(splits, data, subset_rows(splits["train"].group, grid.sizes, cell.size, cell.seed))


def account_of(training: Canonical) -> dict[str, int]:
    """Return how many recorded movements and users a cell is trained on."""
    return {"movements": len(training), "users": len(set(training.group))}


def train(cell: Cell, grid: Grid, data: DataConfig, splits: DataSplits) -> Trained:
    """Train the diffusion of a cell.

    Raises:
        ConfigError: Strokes fit fewer than two movements, or a generated movement is none.
        TrainingDivergedError: A loss that is not finite, or samples that are no movements.
    """
    if cell.generator == COTRAINING:
        return cotrain(cell, grid, data, splits)
    if cell.generator == NOTHING:
        return diffuse(diffusion_config(cell, grid, data), splits)
    if cell.generator != PHYSICAL:
        augmentation = AugmentationConfig(alpha=cell.alpha, generator=cell.generator)
        return diffuse(diffusion_config(cell, grid, data, augmentation), splits)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = fit(physical_config(cell, grid, data), splits, Path(folder) / "physical")
        augmentation = AugmentationConfig(alpha=cell.alpha, generator=PHYSICAL, physical_checkpoint=str(checkpoint))
        return diffuse(diffusion_config(cell, grid, data, augmentation), splits)


def diffuse(config: DiffusionConfig, splits: DataSplits) -> Trained:
    """Train a diffusion on the training split and the generated movements that the configuration adds."""
    splits = splits.with_ends(config.motion_ends)
    state, made, _ = loop.trained(config, splits)
    sampler = sampler_of(state, config, splits, Objective.of(config.diffusion))
    account = {"generated": len(made.generated), "steps": state.step}
    return Trained(lambda real, seed: sampler.sample_matching(real, seed=seed), account)


def fit(config: PhysicalConfig, splits: DataSplits, folder: Path) -> Path:
    """Fit strokes and a population to the training split alone; return the checkpoint."""
    fitted = FittedMovements.of(splits["train"], config)
    state = State.initial(fitted)
    for _ in range(config.epochs):
        state = next_state(state, fitted, config.fit.iterations)
    save_state(state, population_components(state, fitted), config, splits, folder)
    return folder


def cotrain(cell: Cell, grid: Grid, data: DataConfig, splits: DataSplits) -> Trained:
    """Train a co-training to its end; what is evaluated is its diffusion."""
    config = cotraining_config(cell, grid, data)
    models = Models.on(config, splits, validator_of(data, "validation", grid.cycles), ALONE)
    state = untrained_state(models)
    for _ in later_epochs(state, models):
        pass
    kept = {side: [cycle[side]["decision"]["kept"] for cycle in state.cycles] for side in SIDES}
    generated = [cycle["diffusion"]["generated"] for cycle in state.cycles]
    sampler = models.diffusion(state)
    account = {"generated": generated, "kept": kept, "steps": state.diffusion.step}
    return Trained(lambda real, seed: sampler.sample_matching(real, seed=seed), account)


def evaluate(trained: Trained, grid: Grid, data: DataConfig) -> dict[str, Any]:
    """Evaluate samples under the conditions of the test users' movements, with and without each user.

    Raises:
        TrainingDivergedError: More than half of the samples are no movements.
    """
    validator = validator_of(data, "test", grid.evaluation)
    made = [trained.sample(validator.held_out, seed) for seed in grid.eval_seeds]
    return plain_means(validator, [estimates(validator, samples) for samples in made])
