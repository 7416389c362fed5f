"""Judging samples during training: the same real rows, conditions, folds and kernel width in every epoch and trial.

Each sample is asked to match one held-out movement (its duration, distance, direction, path length and turning) and
goes through the same observation model before features are taken, as the held-out movement itself does. With these
common random numbers two trials differ by their models and not by the luck of the draw.

Beside the two-sample tests stand precision and recall (of clusters, of neighbours, density and coverage), the distance
to the training movements against that of the held-out people, and how well a sample meets what it was asked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, reobserve
from trainables.data.config import MEASURED_CONDITIONS, CanonicalConfig
from trainables.eval.features.kinematic import FEATURES, movement_features
from trainables.eval.generation.condition_error import ConditionError, condition_errors
from trainables.eval.generation.config import MINIMUM_MOVEMENTS, EvaluationConfig
from trainables.eval.generation.memorisation import Memorisation, TrainingPaths
from trainables.eval.metrics import (
    C2STResult,
    Standardised,
    classifier_two_sample_test,
    density_coverage,
    median_distance,
    mmd_rbf,
    null_band,
    prd,
    precision_recall,
    standardise,
)
from trainables.eval.two_sample.null_band import NullBand
from trainables.training import metric_names as names


@dataclass(frozen=True, eq=False)
class Validator:
    """Real features and everything else that a comparison fixes; made by `fit`, called with samples.

    Attributes:
        held_out: Held-out movements, under whose conditions the samples are generated row by row.
        observed: The same movements in the form in which samples are compared, 60 Hz steps of whole pixels.
        features: Features of `observed`, columns as in `FEATURES`.
        sigma: Width of the kernel, fitted on `features`.
        training: Paths of the training movements, and the distance of the held-out movements to them.
        condition_std: Standard deviation of each measured column of the condition in the training split.
    """

    held_out: Canonical
    observed: Canonical
    features: Float[Tensor, "N F"]
    sigma: float
    training: TrainingPaths
    condition_std: Float[Tensor, "M"]
    canonical: CanonicalConfig
    config: EvaluationConfig

    @classmethod
    def fit(
        cls, held_out: Canonical, training: Canonical, canonical: CanonicalConfig, config: EvaluationConfig
    ) -> "Validator":
        """Choose the rows, take their features, and fix all references on them and on the training split.

        Raises:
            ConfigError: fewer than `MINIMUM_MOVEMENTS` held-out movements.
            ValueError: half of the held-out movements stand in the training split.
        """
        count, law = len(held_out), f"`held-out movements >= {MINIMUM_MOVEMENTS}`"
        require(count >= MINIMUM_MOVEMENTS, law, str(count), "read more recordings")
        order = torch.randperm(count, generator=generator(config.seed, "validation rows"))
        chosen = held_out.take(order[: config.movements].sort().values)
        observed, learnt = (_observed(part, canonical) for part in (chosen, training))
        features = movement_features(observed.deltas, observed.mask)
        sigma = median_distance(standardise(features, columns=FEATURES).real)
        paths = TrainingPaths.fit(learnt.deltas, learnt.mask, observed.deltas, observed.mask)
        condition_std = learnt.measured_condition().std(dim=0)
        return cls(chosen, observed, features, sigma, paths, condition_std, canonical, config)

    def __call__(self, samples: Canonical) -> Mapping[str, float]:
        """All metrics of samples, one per row of `held_out`, after re-observation.

        `val/rejected` is the share of samples that no longer are movements then (no net displacement, not finite); they
        are left out of all metrics with the movements that they were asked to match. Where they are more than half,
        nothing else is computed: what remains would speak of another model.

        Raises:
            ConfigError: another number of samples.
        """
        require(
            len(samples) == len(self.held_out),
            f"`samples == {len(self.held_out)}`, one per row of `held_out`",
            str(len(samples)),
        )
        produced, rows = reobserve(samples, self.canonical)
        rejected = {names.VAL_REJECTED: 1.0 - len(rows) / len(samples)}
        if 2 * len(rows) < len(samples):
            return rejected
        matched = self.observed.take(rows)
        real, fake = self.features[rows], movement_features(produced.deltas, produced.mask)
        test = self._test(real, fake, (matched.group, produced.group))
        scaled = standardise(real, fake, columns=FEATURES)
        return {
            names.VAL_C2ST: test.accuracy,
            names.VAL_C2ST_AUC: test.auc,
            names.VAL_C2ST_EXCESS: max(0.0, test.accuracy - 0.5),
            names.VAL_MMD: mmd_rbf(scaled.real, scaled.others[0], self.sigma),
            **_precision_and_recall(scaled, self.config.seed),
            **_memorisation(self.training(produced.deltas, produced.mask)),
            **_condition_errors(
                condition_errors(
                    matched.measured_condition(),
                    produced.measured_condition(),
                    self.condition_std,
                    MEASURED_CONDITIONS,
                )
            ),
            **rejected,
        }

    def floor(self) -> NullBand:
        """Real against real: random halves of the held-out movements under the same probe and folds."""
        config = self.config
        return null_band(
            self.features, groups=self.held_out.group, probe=config.probe, folds=config.folds, seed=config.seed
        )

    def c2st_against(self, others: Canonical) -> float:
        """C2ST of the held-out movements against other real people: what a perfect copy of those would score."""
        rows = torch.randperm(len(others), generator=generator(self.config.seed, "other people"))[: len(self.held_out)]
        chosen = _observed(others.take(rows), self.canonical)
        return self._test(self.features, movement_features(chosen.deltas, chosen.mask), None).accuracy

    def _test(
        self,
        real: Float[Tensor, "N F"],
        fake: Float[Tensor, "M F"],
        groups: tuple[tuple[str, ...], tuple[str, ...]] | None,
    ) -> C2STResult:
        """The probe; `groups` of the real and the fake rows keep a person in one fold."""
        config = self.config
        return classifier_two_sample_test(
            real,
            fake,
            real_groups=groups[0] if groups else None,
            fake_groups=groups[1] if groups else None,
            probe=config.probe,
            folds=config.folds,
            seed=config.seed,
            columns=FEATURES,
        )


def _observed(people: Canonical, canonical: CanonicalConfig) -> Canonical:
    """People in the form in which samples are judged; none is lost, for all have passed the observation before."""
    observed, rows = reobserve(people, canonical)
    require(len(rows) == len(people), "`movements that remain movements == all`", f"{len(rows)} of {len(people)}")
    return observed


def _precision_and_recall(scaled: Standardised, seed: int) -> dict[str, float]:
    """Of clusters (PRD), of neighbours, and density and coverage, on the scale of the real part."""
    pairs: Mapping[tuple[str, str], Callable[..., tuple[float, float]]] = {
        (names.VAL_PRD_PRECISION, names.VAL_PRD_RECALL): prd,
        (names.VAL_PRECISION, names.VAL_RECALL): precision_recall,
        (names.VAL_DENSITY, names.VAL_COVERAGE): density_coverage,
    }
    found = {pair: metric(scaled.real, scaled.others[0], seed=seed) for pair, metric in pairs.items()}
    return {name: value for pair, values in found.items() for name, value in zip(pair, values, strict=True)}


def _memorisation(found: Memorisation) -> dict[str, float]:
    return {names.VAL_MEMORISATION: found.ratio, names.VAL_MEMORISED_SHARE: found.share}


def _condition_errors(errors: Sequence[ConditionError]) -> dict[str, float]:
    """Median absolute error of each column in standard deviations of the training split, and their mean."""
    columns = {names.condition_error(error.name): error.median_absolute_sd for error in errors}
    return {names.VAL_CONDITION_ERROR: sum(columns.values()) / len(columns), **columns}
