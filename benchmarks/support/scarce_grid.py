"""The grid of `benchmarks.scarce_data`: its cells, their nested training sets, and the configuration of each training.

The training sets of a source and seed are nested, in users and in movements: the 25 movements of 3 users are among the
100 of 5. Of the users of a set each next movement is one of the user with fewest, so that they count alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from trainables.augmentation.config import AugmentationConfig
from trainables.core.config import digest, require
from trainables.core.seeding import generator
from trainables.cotraining.config import CotrainingConfig
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.statistics import fit_statistics
from trainables.diffusion.config import DiffusionConfig, ModelConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.physical.config import FitConfig, PhysicalConfig

NOTHING, MINIMUM_JERK, PHYSICAL, COTRAINING = "nothing", "minimum_jerk", "physical", "cotraining"
GENERATORS = (MINIMUM_JERK, PHYSICAL, COTRAINING)
ALPHAS = (0.3, 1.0)
CYCLES = 3  # of a co-training, with an epoch of the diffusion each, after a warm-up of as many
EPOCHS = 2 * CYCLES  # of every diffusion


@dataclass(frozen=True)
class Size:
    """A training set: so many movements of so many users; 0: all."""

    movements: int
    users: int

    @property
    def name(self) -> str:
        """Its name in tables."""
        return str(self.movements) if self.movements else "all"


SIZES = (Size(25, 3), Size(100, 5), Size(400, 15), Size(0, 0))


@dataclass(frozen=True)
class Cell:
    """One training: on which movements of a source, with what beside them."""

    source: str
    size: Size
    seed: int
    generator: str = NOTHING
    alpha: float = 0.0

    @property
    def baseline(self) -> "Cell":
        """The same movements, seed and source without generated movements."""
        return replace(self, generator=NOTHING, alpha=0.0)

    @property
    def name(self) -> str:
        """Its name, which is that of its file."""
        return f"{self.source}-{self.size.name}-seed-{self.seed}-{self.generator}-{self.alpha:g}"


@dataclass(frozen=True)
class Grid:
    """What all cells have in common."""

    sources: tuple[str, ...]
    sizes: tuple[Size, ...] = SIZES
    alphas: tuple[float, ...] = ALPHAS
    generators: tuple[str, ...] = GENERATORS
    seeds: int = 3
    steps: int = 600  # optimiser steps of every diffusion
    batch_size: int = 24  # fits into the smallest training set
    base_channels: int = 32  # the smallest network of the search space
    sampling_steps: int = 10  # network calls per sample, enough for a network of so few steps
    fitted: int = 1024  # movements that strokes are fitted to, at most
    eval_seeds: tuple[int, ...] = (7, 8)  # noise of the samples that are evaluated; no decision is made with it
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)  # on test users: all their movements
    # that cycles are decided with, on as many movements of validation users as the default data have
    cycles: EvaluationConfig = field(default_factory=lambda: EvaluationConfig(movements=160))

    def __post_init__(self) -> None:
        law = f"`steps` to be a multiple of {EPOCHS}, the epochs of a diffusion"
        require(self.steps > 0 and self.steps % EPOCHS == 0, law, str(self.steps), f"set steps={EPOCHS * 100}")
        require(len(set(self.sources)) == len(self.sources) > 0, "different sources, at least one", str(self.sources))
        require(self.seeds >= 2, "`seeds >= 2`", str(self.seeds), "one training has no interval")

    def cells(self) -> Iterator[Cell]:
        """Yield all cells, seed by seed, so that an interrupted grid has whole comparisons."""
        for seed, size in product(range(self.seeds), self.sizes):
            for source in self.sources:
                yield Cell(source, size, seed)
            for generator_name, alpha, source in product(self.generators, self.alphas, self.sources):
                yield Cell(source, size, seed, generator_name, alpha)


def data_of(table: Path) -> DataConfig:
    """Return the configuration of the data of a source."""
    return DataConfig(source="table", path=str(table), canonical=CanonicalConfig())


def subset_rows(owners: Sequence[str], sizes: Sequence[Size], size: Size, seed: int) -> Int[Tensor, "N"]:
    """Return the rows of a training set, ascending; those of smaller sizes are among them.

    Args:
        owners: User of each training movement.
        sizes: All sizes, the smallest first.

    Raises:
        ConfigError: Fewer users or movements than a size takes.
    """
    random, users = generator(seed, "scarce data"), sorted(set(owners))
    users = [users[place] for place in torch.randperm(len(users), generator=random).tolist()]
    shuffled = torch.randperm(len(owners), generator=random).tolist()
    left = {user: [row for row in shuffled if owners[row] == user] for user in users}
    taken: dict[str, list[int]] = {user: [] for user in users}
    for stage in sizes[: sizes.index(size) + 1]:
        most = stage.users or len(users)
        law = f"`training users >= {most}`"
        require(most <= len(users), law, str(len(users)), "choose another source")
        mine = users[:most]
        available = sum(len(left[user]) + len(taken[user]) for user in mine)
        count = stage.movements or available
        law = f"`movements of {most} training users >= {count}`"
        require(count <= available, law, str(available), "choose another source")
        for _ in range(count - sum(map(len, taken.values()))):
            fewest = min((user for user in mine if left[user]), key=lambda user: len(taken[user]))
            taken[fewest].append(left[fewest].pop())
    return torch.tensor(sorted(row for rows in taken.values() for row in rows), dtype=torch.int64)


def scarce_splits(splits: DataSplits, data: DataConfig, rows: Int[Tensor, "N"]) -> DataSplits:
    """Return the data of a cell: some of the training movements, and the validation users of the cycles.

    Test and holdout users are not among them. Standardisation is that of the chosen training movements.
    """
    training: Canonical = splits["train"].take(rows)
    return replace(
        splits,
        splits={"train": training, "validation": splits["validation"]},
        statistics=fit_statistics(training, data.companding_px, data.frame),
        places={},
        sha256=digest([splits.sha256, rows.tolist()]),
    )


def diffusion_config(
    cell: Cell, grid: Grid, data: DataConfig, augmentation: AugmentationConfig | None = None
) -> DiffusionConfig:
    """Return the configuration of the diffusion of a cell."""
    config = cotraining_config(cell, grid, data).of_diffusion()
    return config if augmentation is None else replace(config, augmentation=augmentation)


def physical_config(cell: Cell, grid: Grid, data: DataConfig) -> PhysicalConfig:
    """Return the configuration of the strokes that are fitted to the training movements of a cell."""
    fit = FitConfig(movements=grid.fitted)
    return PhysicalConfig(seed=cell.seed, fit=fit, data=data, evaluation=grid.cycles)


def cotraining_config(cell: Cell, grid: Grid, data: DataConfig) -> CotrainingConfig:
    """Return the configuration of a co-training, whose diffusion has as many steps as any other."""
    base = CotrainingConfig()
    return replace(
        base,
        seed=cell.seed,
        alpha=cell.alpha,
        epochs=1 + EPOCHS + CYCLES,
        cycles=CYCLES,
        epochs_per_cycle=1,
        patience=0,
        samples_from="diffusion",
        steps_per_epoch=grid.steps // EPOCHS,
        batch_size=grid.batch_size,
        data=data,
        model=ModelConfig(base_channels=grid.base_channels),
        sampling=replace(base.sampling, steps=grid.sampling_steps),
        fit=FitConfig(movements=grid.fitted),
        evaluation=grid.cycles,
    )
