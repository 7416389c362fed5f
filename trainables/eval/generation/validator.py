"""Validate samples during training: the same real rows, conditions, folds and kernel width in every epoch and trial.

Each sample is generated under the conditions of one held-out movement (its duration, distance, direction, path length
and turning) and passes the same observation model before features are taken, as the held-out movement does. With these
common random numbers two trials differ by their models and not by chance.

The headline is the largest excess of a probe's AUC over its floor (`trainables.eval.generation.probes`), which is that
of other users of the same source, from the training split, in the place of samples: at the same number of movements,
users and folds.

Beside the two-sample tests there are precision and recall (of clusters, of neighbours, density and coverage), the
distance to the training movements against that of held-out users, and the condition error.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from trainables.core.config import require
from trainables.data.canonical import Canonical, reobserve
from trainables.data.config import CanonicalConfig
from trainables.eval.features.kinematic import FEATURES
from trainables.eval.generation.config import MINIMUM_MOVEMENTS, EvaluationConfig
from trainables.eval.generation.evaluation import GeneratorEvaluation
from trainables.eval.generation.matching import evaluated_rows, matched_rows
from trainables.eval.generation.memorisation import TrainingPaths
from trainables.eval.generation.metrics import GENERATION
from trainables.eval.generation.probes import Probes, kinematic_features
from trainables.eval.metrics import median_distance, standardise
from trainables.eval.two_sample.null_band import NullBand
from trainables.eval.two_sample.paired import PairedScores
from trainables.training import metric_names as names
from trainables.training.metric import compute_all

NULL_REPEATS = 10  # swaps of the sides for the band of no difference


@dataclass(frozen=True, eq=False)
class Validator:
    """Real features and all references of a comparison; made by `fit`, called with samples.

    Attributes:
        held_out: Held-out movements, under whose conditions the samples are generated row by row.
        observed: The same movements in the form in which samples are compared, 60 Hz steps of whole pixels.
        others: One movement of a training user of the same source per held-out one, of like conditions.
        features: Kinematic features of `observed`, columns as in `FEATURES`.
        probes: The probes, with their columns of `observed`.
        floors: Scores of `others` in the place of samples, by probe.
        sigma: Width of the MMD kernel, fitted on `features`.
        training: Paths of the training movements, and the distance of the held-out movements to them.
        condition_std: Standard deviation of each measured column of the condition in the training split.
    """

    held_out: Canonical
    observed: Canonical
    others: Canonical
    features: Float[Tensor, "N F"]
    probes: Probes
    floors: Mapping[str, PairedScores]
    sigma: float
    training: TrainingPaths
    condition_std: Float[Tensor, "M"]
    canonical: CanonicalConfig
    config: EvaluationConfig

    @classmethod
    def fit(
        cls, held_out: Canonical, training: Canonical, canonical: CanonicalConfig, config: EvaluationConfig
    ) -> "Validator":
        """Choose the rows, compute their features, and fit all references on them and on the training split.

        Raises:
            ConfigError: Fewer than `MINIMUM_MOVEMENTS` held-out movements, or as many of training users of a source.
            ValueError: Half of the held-out movements are in the training split.
        """
        rows = evaluated_rows(held_out, training, config.movements, config.seed)
        law = f"`held-out movements with as many of training users >= {MINIMUM_MOVEMENTS}`"
        require(len(rows) >= MINIMUM_MOVEMENTS, law, str(len(rows)), "read more recordings")
        chosen = held_out.take(rows)
        observed, trained_on = (observed_alike(movements, canonical) for movements in (chosen, training))
        probes = Probes.fit(observed, config.probes, config.folds, config.seed)
        matched = matched_rows(observed, trained_on)
        features = kinematic_features(observed)
        paths = TrainingPaths.fit(trained_on.deltas, trained_on.mask, observed.deltas, observed.mask)
        return cls(
            held_out=chosen,
            observed=observed,
            others=training.take(matched),
            probes=probes,
            floors=probes(trained_on.take(matched), observed.group),
            features=features,
            sigma=median_distance(standardise(features, columns=FEATURES).real),
            training=paths,
            condition_std=trained_on.measured_condition().std(dim=0),
            canonical=canonical,
            config=config,
        )

    def __call__(self, samples: Canonical) -> Mapping[str, float]:
        """Return every cheap metric of samples, one per row of `held_out`, after re-observation.

        If more than half of the samples are no movements any more, `val/rejected` is the only one.

        Raises:
            ConfigError: Another number of samples.
        """
        evaluation = self.evaluation(samples)
        if not evaluation.evaluable:
            return {names.VAL_REJECTED: evaluation.rejected}
        return compute_all(GENERATION.metrics, evaluation)

    def evaluation(self, samples: Canonical) -> GeneratorEvaluation:
        """Return samples, one per row of `held_out`, re-observed, with the movements that they match.

        Raises:
            ConfigError: Another number of samples.
        """
        require(
            len(samples) == len(self.held_out),
            f"`samples == {len(self.held_out)}`, one per row of `held_out`",
            str(len(samples)),
        )
        produced, rows = reobserve(samples, self.canonical)
        return GeneratorEvaluation(
            requested=len(samples),
            rows=rows,
            matched=self.observed.take(rows),
            produced=produced,
            real=self.features[rows],
            probes=self.probes,
            floors=self.floors,
            sigma=self.sigma,
            training=self.training,
            condition_std=self.condition_std,
            seed=self.config.seed,
        )

    def no_difference(self) -> NullBand:
        """Return the band of the largest excess between the held-out movements and `others` without a difference."""
        others = observed_alike(self.others, self.canonical)
        return self.probes.no_difference(others, self.observed.group, NULL_REPEATS)


def observed_alike(movements: Canonical, canonical: CanonicalConfig) -> Canonical:
    """Return movements in the form of the comparison; none is lost, since all were observed before."""
    observed, rows = reobserve(movements, canonical)
    require(len(rows) == len(movements), "`movements after re-observation == all`", f"{len(rows)} of {len(movements)}")
    return observed
