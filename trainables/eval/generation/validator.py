"""Validate samples during training: the same real rows, conditions, folds and kernel width in every epoch and trial.

Each sample is generated under the conditions of one held-out movement (its duration, distance, direction, path length
and turning) and passes the same observation model before features are taken, as the held-out movement does. With these
common random numbers two trials differ by their models and not by chance.

Beside the two-sample tests there are precision and recall (of clusters, of neighbours, density and coverage), the
distance to the training movements against that of held-out users, and the condition error.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, reobserve
from trainables.data.config import CanonicalConfig
from trainables.eval.features.kinematic import FEATURES, movement_features
from trainables.eval.generation.config import MINIMUM_MOVEMENTS, EvaluationConfig
from trainables.eval.generation.evaluation import GeneratorEvaluation
from trainables.eval.generation.memorisation import TrainingPaths
from trainables.eval.generation.metrics import GENERATION
from trainables.eval.metrics import classifier_two_sample_test, median_distance, null_band, standardise
from trainables.eval.two_sample.null_band import NullBand
from trainables.training import metric_names as names
from trainables.training.metric import compute_all


@dataclass(frozen=True, eq=False)
class Validator:
    """Real features and all references of a comparison; made by `fit`, called with samples.

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
        """Choose the rows, compute their features, and fit all references on them and on the training split.

        Raises:
            ConfigError: Fewer than `MINIMUM_MOVEMENTS` held-out movements.
            ValueError: Half of the held-out movements are in the training split.
        """
        count, law = len(held_out), f"`held-out movements >= {MINIMUM_MOVEMENTS}`"
        require(count >= MINIMUM_MOVEMENTS, law, str(count), "read more recordings")
        order = torch.randperm(count, generator=generator(config.seed, "validation rows"))
        chosen = held_out.take(order[: config.movements].sort().values)
        observed, trained_on = (_observed(movements, canonical) for movements in (chosen, training))
        features = movement_features(observed.deltas, observed.mask)
        sigma = median_distance(standardise(features, columns=FEATURES).real)
        paths = TrainingPaths.fit(trained_on.deltas, trained_on.mask, observed.deltas, observed.mask)
        condition_std = trained_on.measured_condition().std(dim=0)
        return cls(chosen, observed, features, sigma, paths, condition_std, canonical, config)

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
            sigma=self.sigma,
            training=self.training,
            condition_std=self.condition_std,
            probe=self.config.probe,
            folds=self.config.folds,
            seed=self.config.seed,
        )

    def floor(self) -> NullBand:
        """Return the null band: random halves of the held-out movements under the same probe and folds."""
        config = self.config
        return null_band(
            self.features, groups=self.held_out.group, probe=config.probe, folds=config.folds, seed=config.seed
        )

    def c2st_against(self, others: Canonical) -> float:
        """Return the C2ST of the held-out movements against other real ones: that of a perfect copy of those."""
        rows = torch.randperm(len(others), generator=generator(self.config.seed, "other people"))[: len(self.held_out)]
        chosen = _observed(others.take(rows), self.canonical)
        config = self.config
        return classifier_two_sample_test(
            self.features,
            movement_features(chosen.deltas, chosen.mask),
            probe=config.probe,
            folds=config.folds,
            seed=config.seed,
            columns=FEATURES,
        ).accuracy


def _observed(movements: Canonical, canonical: CanonicalConfig) -> Canonical:
    """Return movements in the form of the comparison; none is lost, since all were observed before."""
    observed, rows = reobserve(movements, canonical)
    require(len(rows) == len(movements), "`movements after re-observation == all`", f"{len(rows)} of {len(movements)}")
    return observed
