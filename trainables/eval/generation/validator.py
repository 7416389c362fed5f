"""Validate samples during training: the same real rows, conditions, folds and kernel width in every epoch and trial.

Each sample is generated under the conditions of one held-out movement (its duration, distance, direction, path length
and turning) and passes the same observation model before features are taken, as the held-out movement does. With these
common random numbers two trials differ by their models and not by chance.

The headline is the largest excess of a probe's AUC over its floor (`trainables.eval.generation.probes`), which is that
of other users of the same source, from the training split, in the place of samples: at the same number of movements,
users and folds.

Where the held-out movements are of several sources, everything is fitted and computed within each source, and every
metric is the mean over sources; the headline of each source is logged beside it.

Beside the two-sample tests there are precision and recall (of clusters, of neighbours, density and coverage), the
distance to the training movements against that of held-out users, and the condition error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.data.canonical import Canonical, reobserve
from trainables.data.config import CanonicalConfig
from trainables.data.splits.derived import derived
from trainables.eval.features.feature_tables import Array
from trainables.eval.features.kinematic import FEATURES
from trainables.eval.generation.by_source import mean_over_sources, require_enough, rows_by_source
from trainables.eval.generation.config import MINIMUM_MOVEMENTS, EvaluationConfig
from trainables.eval.generation.evaluation import GeneratorEvaluation
from trainables.eval.generation.matching import evaluated_rows, matched_rows, references
from trainables.eval.generation.memorisation import TrainingPaths, movement_paths
from trainables.eval.generation.metrics import GENERATION
from trainables.eval.generation.probes import Probes, kinematic_features
from trainables.eval.indices import Indices
from trainables.eval.intervals.jackknife import Statistic
from trainables.eval.metrics import median_distance, standardise
from trainables.eval.two_sample.null_band import NullBand
from trainables.eval.two_sample.paired import PairedScores
from trainables.training import metric_names as names
from trainables.training.metric import compute_all

NULL_REPEATS = 10  # swaps of the sides for the band of no difference


@dataclass(frozen=True, eq=False)
class SourceValidator:
    """Real features and all references of the held-out movements of one source.

    Attributes:
        observed: The movements in the form in which samples are compared, 60 Hz steps of whole pixels.
        others: One movement of a training user of the source per held-out one, of like conditions, in the same form.
        features: Kinematic features of `observed`, columns as in `FEATURES`.
        probes: The probes, with their columns of `observed`.
        floors: Scores of `others` in the place of samples, by probe.
        sigma: Width of the MMD kernel, fitted on `features`.
        training: Paths of the training movements, and the distance of the held-out movements to them.
        condition_std: Standard deviation of each measured column of the condition in the training split.
    """

    observed: Canonical
    others: Canonical
    features: Float[Tensor, "N F"]
    probes: Probes
    floors: Mapping[str, PairedScores]
    sigma: float
    training: TrainingPaths
    condition_std: Float[Tensor, "M"]
    seed: int

    @classmethod
    def fit(
        cls,
        observed: Canonical,
        others: Canonical,
        training: TrainingPaths,
        condition_std: Float[Tensor, "M"],
        config: EvaluationConfig,
    ) -> "SourceValidator":
        """Compute the features of observed movements, and fit the probes, their floors and the kernel width."""
        probes = Probes.fit(observed, config.probes, config.folds, config.seed)
        features = kinematic_features(observed)
        return cls(
            observed=observed,
            others=others,
            features=features,
            probes=probes,
            floors=probes(others, observed.group),
            sigma=median_distance(standardise(features, columns=FEATURES).real),
            training=training,
            condition_std=condition_std,
            seed=config.seed,
        )

    def evaluation(self, produced: Canonical, rows: Int[Tensor, "K"]) -> GeneratorEvaluation:
        """Return observed samples with the movements that they match, at `rows` of `observed`."""
        return GeneratorEvaluation(
            requested=len(self.observed),
            rows=rows,
            matched=self.observed.take(rows),
            produced=produced,
            real=self.features[rows],
            probes=self.probes,
            floors=self.floors,
            sigma=self.sigma,
            training=self.training,
            condition_std=self.condition_std,
            seed=self.seed,
        )

    def swapped_excess(self) -> Array:
        """Return the largest excess between the held-out movements and `others` in each of `NULL_REPEATS` swaps."""
        return self.probes.swapped_excess(self.others, self.observed.group, NULL_REPEATS)


@dataclass(frozen=True, eq=False)
class Validator:
    """Held-out movements with their references by source; made by `fit`, called with samples.

    Attributes:
        held_out: Held-out movements, under whose conditions the samples are generated row by row.
        observed: The same movements in the form in which samples are compared, 60 Hz steps of whole pixels.
        others: One movement of a training user of the same source per held-out one, of like conditions.
        rows: Source -> its rows of `held_out`.
        by_source: Source -> references of these rows.
    """

    held_out: Canonical
    observed: Canonical
    others: Canonical
    rows: Mapping[str, Indices]
    by_source: Mapping[str, SourceValidator]
    canonical: CanonicalConfig
    config: EvaluationConfig

    @classmethod
    def fit(
        cls, held_out: Canonical, training: Canonical, canonical: CanonicalConfig, config: EvaluationConfig
    ) -> "Validator":
        """Choose the rows, compute their features, and fit all references on them and on the training split.

        Raises:
            ConfigError: Fewer than `MINIMUM_MOVEMENTS` held-out movements, or as many of training users of a source;
                of several sources one that has too few movements or users.
            ValueError: Half of the held-out movements are in the training split.
        """
        chosen_rows = evaluated_rows(held_out, training, config.movements, config.seed)
        law = f"`held-out movements with as many of training users >= {MINIMUM_MOVEMENTS}`"
        require(len(chosen_rows) >= MINIMUM_MOVEMENTS, law, str(len(chosen_rows)), "read more recordings")
        chosen = held_out.take(chosen_rows)
        rows = rows_by_source(chosen.source)
        if len(rows) > 1:
            require_enough({source: [chosen.group[row] for row in own] for source, own in rows.items()}, config.folds)
        beside = references(training, config.seed)
        observed, trained_on = (observed_alike(movements, canonical) for movements in (chosen, beside))
        matched = matched_rows(observed, trained_on)
        paths, condition = (
            derived(training, f"{name} as {canonical}", partial(compute, canonical=canonical))
            for name, compute in (("paths", _paths), ("measured conditions", _measured_condition))
        )
        training_paths = TrainingPaths.of(paths, observed.deltas, observed.mask)
        std, by_source = condition.std(dim=0), {}
        for source, own in rows.items():
            at = torch.from_numpy(own)
            others = trained_on.take(matched[at])
            by_source[source] = SourceValidator.fit(observed.take(at), others, training_paths.beside(at), std, config)
        return cls(chosen, observed, beside.take(matched), rows, by_source, canonical, config)

    def __call__(self, samples: Canonical) -> Mapping[str, float]:
        """Return every cheap metric of samples, one per row of `held_out`, after re-observation; see `metrics_of`.

        Raises:
            ConfigError: Another number of samples.
        """
        return metrics_of(self.evaluations(samples))

    def evaluations(self, samples: Canonical) -> dict[str, GeneratorEvaluation]:
        """Return samples, one per row of `held_out`, re-observed, with the movements that they match, by source.

        Raises:
            ConfigError: Another number of samples.
        """
        produced, rows = self.observe(samples)
        found = {}
        for source, own in self.rows.items():
            inside = np.flatnonzero(np.isin(rows.numpy(), own))
            place = np.searchsorted(own, rows.numpy()[inside])
            part = produced.take(torch.from_numpy(inside))
            found[source] = self.by_source[source].evaluation(part, torch.from_numpy(place))
        return found

    def observe(self, samples: Canonical) -> tuple[Canonical, Int[Tensor, "K"]]:
        """Return those of the samples, one per row of `held_out`, that are movements, observed, and their rows.

        Raises:
            ConfigError: Another number of samples.
        """
        require(
            len(samples) == len(self.held_out),
            f"`samples == {len(self.held_out)}`, one per row of `held_out`",
            str(len(samples)),
        )
        return reobserve(samples, self.canonical)

    def mean_over_sources(self, statistics: Mapping[str, Statistic]) -> Statistic:
        """Return the mean over sources of statistics of the rows of each, as one of rows of `held_out`."""
        return mean_over_sources(statistics, self.rows)

    @property
    def floors(self) -> dict[str, float]:
        """AUC of `others` in the place of samples by probe, the mean over sources."""
        parts = self.by_source.values()
        return {probe: float(np.mean([part.floors[probe].auc() for part in parts])) for probe in self.config.probes}

    @property
    def folds_by(self) -> str:
        """What is never split over folds: "users", "pairs", or "pairs or users" where sources differ in it."""
        found = {scores.folds_by for part in self.by_source.values() for scores in part.floors.values()}
        return " or ".join(sorted(found))

    def no_difference(self) -> NullBand:
        """Return the band of the headline between the held-out movements and `others` without a difference."""
        return NullBand.of(np.mean([part.swapped_excess() for part in self.by_source.values()], axis=0).tolist())


def metrics_of(evaluations: Mapping[str, GeneratorEvaluation]) -> dict[str, float]:
    """Return every cheap metric, the mean over sources, and the headline of each of several sources.

    If of a source more than half of the samples are no movements any more, `val/rejected` is the only metric.

    Args:
        evaluations: By source.
    """
    if not all(evaluation.evaluable for evaluation in evaluations.values()):
        return {names.VAL_REJECTED: float(np.mean([evaluation.rejected for evaluation in evaluations.values()]))}
    found = {source: compute_all(GENERATION.metrics, evaluation) for source, evaluation in evaluations.items()}
    first, *more = found.values()
    means = {name: float(np.mean([metrics[name] for metrics in found.values()])) for name in first}
    headlines = {
        names.of_source(names.VAL_AUC_EXCESS, source): metrics[names.VAL_AUC_EXCESS]
        for source, metrics in found.items()
    }
    return {**means, **(headlines if more else {})}


def _paths(movements: Canonical, canonical: CanonicalConfig) -> Float[Tensor, "N P"]:
    observed = observed_alike(movements, canonical)
    return movement_paths(observed.deltas, observed.mask)


def _measured_condition(movements: Canonical, canonical: CanonicalConfig) -> Float[Tensor, "N M"]:
    return observed_alike(movements, canonical).measured_condition()


def observed_alike(movements: Canonical, canonical: CanonicalConfig) -> Canonical:
    """Return movements in the form of the comparison; none is lost, since all were observed before."""
    observed, rows = reobserve(movements, canonical)
    require(len(rows) == len(movements), "`movements after re-observation == all`", f"{len(rows)} of {len(movements)}")
    return observed
