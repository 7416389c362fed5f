"""Fit the ratio of each source: real movements of its training users against samples under their conditions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from trainables.core.config import plain, require
from trainables.core.derived_seeds import derive
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, reobserve
from trainables.data.config import CanonicalConfig
from trainables.eval.generation.validator import observed_alike
from trainables.generation.blocks import WINDOW
from trainables.generation.conditions import Conditions, matching_conditions
from trainables.generation.selection.columns import Columns
from trainables.generation.selection.config import RatioConfig
from trainables.generation.selection.density_ratio import DensityRatio
from trainables.generation.selection.selector import Selector, SourceRatio

MINIMUM_MOVEMENTS = 40  # real movements of a source, below which a ratio says little


@runtime_checkable  # for the checks of types in tests
class SampledModel(Protocol):
    """A generator as far as the fit needs it."""

    @property
    def canonical(self) -> CanonicalConfig:
        """The form of the movements."""

    @property
    def training_conditions(self) -> Conditions:
        """The conditions of the training movements."""

    def sample_matching(self, real: Canonical, *, seed: int) -> Canonical:
        """One sample per movement of `real`, under its condition."""


@dataclass(frozen=True)
class Progress:
    """What is called as the work proceeds.

    Attributes:
        sampled: With the number of samples that were made.
        fitted: After each fold.
    """

    sampled: Callable[[int], object] = lambda count: None
    fitted: Callable[[], object] = lambda: None


def fit_selector(
    model: SampledModel,
    training: Canonical,
    sources: Sequence[str],
    config: RatioConfig,
    made_with: Mapping[str, Any],
    progress: Progress | None = None,
) -> Selector:
    """Return the selector of a generator.

    Args:
        training: The training split.
        sources: Sources to fit a ratio for, each by itself.
        made_with: For the record: `generator_sha256`, `data_sha256` and `sampling`.

    Raises:
        ConfigError: A source without training movements or with too few of them, or fewer users than folds.
    """
    progress, known = progress or Progress(), sorted(set(training.source))
    law = f"`source_names` among those of the training split ({', '.join(known)})"
    unknown = ", ".join(sorted(set(sources) - set(known)))
    require(not unknown, law, unknown, "name sources that the model was trained on")
    ratios, fitted = {}, {}
    for source in sources:
        movements = _of_source(training, source, config)
        ratios[source], fitted[source] = _fit_source(model, movements, config, progress)
    return Selector(ratios, {**made_with, "sources": [*sources], "config": plain(config), "fitted": fitted})


def planned_samples(training: Canonical, sources: Sequence[str], config: RatioConfig) -> int:
    """Return how many samples the fit makes."""
    return config.samples * sum(min(training.source.count(source), config.movements) for source in sources)


def _of_source(training: Canonical, source: str, config: RatioConfig) -> Canonical:
    """Return the movements of a source, a seeded choice of them where there are more than `config.movements`."""
    rows = torch.tensor([row for row, name in enumerate(training.source) if name == source])
    law = f"`training movements of {source} >= {MINIMUM_MOVEMENTS}`"
    require(len(rows) >= MINIMUM_MOVEMENTS, law, str(len(rows)), "read more recordings of it, or leave it out")
    order = torch.randperm(len(rows), generator=generator(config.seed, "movements of the ratio"))
    return training.take(rows[order[: config.movements].sort().values])


def _fit_source(
    model: SampledModel, real: Canonical, config: RatioConfig, progress: Progress
) -> tuple[SourceRatio, dict[str, Any]]:
    observed, asked = observed_alike(real, model.canonical), matching_conditions(real, model.training_conditions)
    columns = Columns.fit(observed, config.columns)
    tables, owners = [], list[str]()
    for number in range(config.samples):
        for chunk in torch.arange(len(real)).split(WINDOW):
            seed = derive(config.seed, "samples of the ratio", number, int(chunk[0]))
            samples, kept = reobserve(model.sample_matching(real.take(chunk), seed=seed), model.canonical)
            conditions = asked.take(chunk[kept])
            tables.append(columns(samples, conditions.raw, conditions.angle))
            owners += samples.group
            progress.sampled(len(chunk))
    sampled = np.concatenate(tables)
    ratio = DensityRatio.fit(
        columns(observed, asked.raw, asked.angle), sampled, real.group, owners, config, progress.fitted
    )
    account = {
        "users": len(set(real.group)),
        "movements": len(real),
        "samples": len(sampled),
        "auc_of_unseen_users": ratio.auc,
        "slope": ratio.slope,
        "intercept": ratio.intercept,
    }
    return SourceRatio(columns, ratio), account
