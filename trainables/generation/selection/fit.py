"""Fit the ratio of each source: real movements of its training users against samples under their conditions.

A ratio that is estimated, and a draw from few candidates, leave a difference. A second round fits its ratio to samples
that the first one has drawn, r_2 = p_real / p_selected; with p_selected = p_sampled r_1 the product r_1 r_2 is the
ratio of real to sampled density again, corrected by what the first round missed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from trainables.generation.selection.density_ratio import DensityRatio, Floats
from trainables.generation.selection.selector import SECOND_ROUND, Selector, SourceRatio

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


@dataclass(frozen=True)
class SecondRound:
    """The second round of a fit.

    Attributes:
        candidates: Of each sample.
        selecting: Returns the generator that draws each sample from so many candidates by a selector.
    """

    candidates: int
    selecting: Callable[[Selector], SampledModel]


@dataclass(frozen=True)
class Samples:
    """Columns [M, F] of samples, and the user of the movement whose condition each has."""

    table: Floats
    owners: list[str]


def fit_selector(
    model: SampledModel,
    training: Canonical,
    sources: Sequence[str],
    config: RatioConfig,
    made_with: Mapping[str, Any],
    progress: Progress | None = None,
    second: SecondRound | None = None,
) -> Selector:
    """Return the selector of a generator.

    Args:
        training: The training split.
        sources: Sources to fit a ratio for, each by itself.
        made_with: For the record: `generator_sha256`, `data_sha256` and `sampling`.
        second: None: one round.

    Raises:
        ConfigError: A source without training movements or with too few of them, or fewer users than folds.
    """
    progress, known = progress or Progress(), sorted(set(training.source))
    law = f"`source_names` among those of the training split ({', '.join(known)})"
    unknown = ", ".join(sorted(set(sources) - set(known)))
    require(not unknown, law, unknown, "name sources that the model was trained on")
    ratios, fitted = {}, {}
    for source in sources:
        movements = fitted_movements(training, source, config)
        ratios[source], fitted[source] = _fit_source(model, movements, config, progress)
    first = Selector(ratios, {**made_with, "sources": [*sources], "config": plain(config), "fitted": fitted})
    return first if second is None else _with_second_round(first, training, config, second, progress)


def planned_samples(training: Canonical, sources: Sequence[str], config: RatioConfig, candidates: int = 0) -> int:
    """Return how many samples the fit makes.

    Args:
        candidates: Of each sample of the second round; 0: there is none.
    """
    of_sources = (min(training.source.count(source), config.movements) for source in sources)
    return (1 + candidates) * config.samples * sum(of_sources)


def fitted_movements(training: Canonical, source: str, config: RatioConfig) -> Canonical:
    """Return the movements of a source, a seeded choice of them where there are more than `config.movements`."""
    rows = torch.tensor([row for row, name in enumerate(training.source) if name == source])
    law = f"`training movements of {source} >= {MINIMUM_MOVEMENTS}`"
    require(len(rows) >= MINIMUM_MOVEMENTS, law, str(len(rows)), "read more recordings of it, or leave it out")
    order = torch.randperm(len(rows), generator=generator(config.seed, "movements of the ratio"))
    return training.take(rows[order[: config.movements].sort().values])


def _fit_source(
    model: SampledModel, real: Canonical, config: RatioConfig, progress: Progress
) -> tuple[SourceRatio, dict[str, Any]]:
    columns = Columns.fit(observed_alike(real, model.canonical), config.columns)
    samples = _sampled(model, real, columns, config, "samples of the ratio", progress.sampled)
    ratio = _fit_ratio(model, real, columns, samples, config, progress)
    counts = {"users": len(set(real.group)), "movements": len(real)}
    return SourceRatio(columns, ratio), {**counts, **_account(ratio, samples)}


def _with_second_round(
    first: Selector, training: Canonical, config: RatioConfig, second: SecondRound, progress: Progress
) -> Selector:
    """Return the selector with a second ratio of each source, fitted to samples that were drawn by the first."""
    model, ratios, fitted = second.selecting(first), {}, {}
    for source, one in first.ratios.items():
        real = fitted_movements(training, source, config)

        def sampled(count: int) -> object:
            return progress.sampled(count * second.candidates)

        samples = _sampled(model, real, one.columns, config, "samples of the second ratio", sampled)
        ratio = _fit_ratio(model, real, one.columns, samples, config, progress)
        ratios[source] = replace(one, second=ratio)
        fitted[source] = {**first.record["fitted"][source], SECOND_ROUND: _account(ratio, samples)}
    return Selector(ratios, {**first.record, "fitted": fitted, SECOND_ROUND: {"candidates": second.candidates}})


def _sampled(
    model: SampledModel,
    real: Canonical,
    columns: Columns,
    config: RatioConfig,
    purpose: str,
    sampled: Callable[[int], object],
) -> Samples:
    """Return samples under the conditions of real movements, `config.samples` of each.

    Args:
        purpose: Of the seeds.
        sampled: Called with the number of samples that were made.
    """
    asked = matching_conditions(real, model.training_conditions)
    tables, owners = [], list[str]()
    for number in range(config.samples):
        for chunk in torch.arange(len(real)).split(WINDOW):
            seed = derive(config.seed, purpose, number, int(chunk[0]))
            samples, kept = reobserve(model.sample_matching(real.take(chunk), seed=seed), model.canonical)
            conditions = asked.take(chunk[kept])
            tables.append(columns(samples, conditions.raw, conditions.angle))
            owners += samples.group
            sampled(len(chunk))
    return Samples(np.concatenate(tables), owners)


def _fit_ratio(
    model: SampledModel,
    real: Canonical,
    columns: Columns,
    samples: Samples,
    config: RatioConfig,
    progress: Progress,
) -> DensityRatio:
    asked = matching_conditions(real, model.training_conditions)
    table = columns(observed_alike(real, model.canonical), asked.raw, asked.angle)
    return DensityRatio.fit(table, samples.table, real.group, samples.owners, config, progress.fitted)


def _account(ratio: DensityRatio, samples: Samples) -> dict[str, Any]:
    return {
        "samples": len(samples.table),
        "auc_of_unseen_users": ratio.auc,
        "slope": ratio.slope,
        "intercept": ratio.intercept,
    }
