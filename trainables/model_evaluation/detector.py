"""Evaluate a detector again: users of a split against new bots of every style, with and without each user.

Each seed makes other bots under the conditions of these users' movements, unseen families among them. The threshold at
the configured FPR is fitted on the users of this very split: an FNR shows how well a detector ranks bots above these
users. One more metric, the FPR of these users at the threshold that is fitted on the validation users, shows what a
threshold does to users on whom it was not fitted.

Without a user's movements the threshold is fitted again on the others, and the bots that were made under that user's
conditions are left out as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from trainables.core.config import build
from trainables.data.splits.loading import load_splits
from trainables.detector.api import Detector, load_trained_detector
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.goal_consistency import GoalConsistency
from trainables.detector.dataset.training_set import Inputs, Scaling
from trainables.detector.evaluation.detection_rates import detection_rates
from trainables.detector.evaluation.metrics import DETECTION
from trainables.detector.evaluation.validator import Validator
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.intervals.jackknife import JackknifeEstimate
from trainables.model_evaluation.result import MetricsBySeed
from trainables.training.checkpoint import CheckpointError
from trainables.training.metric import compute_all


class NotFiniteError(RuntimeError):
    """A score is NaN or infinite."""


@dataclass(frozen=True, eq=False)
class Scores:
    """A detector's scores of a split's users, and of bots under their conditions; larger: likelier a bot.

    Attributes:
        human: One score per movement of a user.
        bots: Family -> a row per style, a column per movement of a user, under whose conditions the bot moved.
        owners: User of each movement.
        unseen: Families that were left out of the training.
        fpr: Target FPR of the threshold.
        validation_threshold: Threshold at that FPR on the validation users, whatever the split.
    """

    human: Float[Tensor, "N"]
    bots: Mapping[str, Float[Tensor, "_ N"]]
    owners: tuple[str, ...]
    unseen: tuple[str, ...]
    fpr: float
    validation_threshold: float

    @property
    def users(self) -> tuple[str, ...]:
        """The users, sorted."""
        return tuple(sorted(set(self.owners)))

    def metrics(self) -> dict[str, JackknifeEstimate]:
        """Return each metric over all users, and without each of them."""
        owner, rows = np.asarray(self.owners), np.arange(len(self.owners))
        whole = self._metrics_of(rows)
        without = [self._metrics_of(rows[owner != user]) for user in self.users]
        return {
            name: JackknifeEstimate(value, tuple(metrics[name] for metrics in without)) for name, value in whole.items()
        }

    def _metrics_of(self, rows: Any) -> dict[str, float]:
        bots = {family: scores[:, rows].flatten() for family, scores in self.bots.items()}
        human = self.human[rows]
        rates = detection_rates(human, bots, self.unseen, self.fpr, validation_threshold=self.validation_threshold)
        return compute_all(DETECTION.metrics, rates)


def metrics_by_seed(checkpoint: Path, record: Mapping[str, Any], split: str, seeds: Sequence[int]) -> MetricsBySeed:
    """Return the metrics of a detector on a split's users and, for each seed, other bots under their conditions.

    Raises:
        CheckpointError: The checkpoint cannot be used, or its scores are not finite.
        ConfigError: The recorded configuration is invalid, or a bot style makes too few movements.
    """
    detector, config = load_trained_detector(checkpoint), build(DetectorConfig, record["config"])
    try:
        scores = [scores_on(detector, config, split, seed) for seed in seeds]
    except NotFiniteError as error:
        raise CheckpointError(f"{checkpoint}: {error}; train again with a lower optim.lr") from None
    return MetricsBySeed(scores[0].owners, tuple(one.metrics() for one in scores))


def scores_on(detector: Detector, config: DetectorConfig, split: str, seed: int) -> Scores:
    """Return the calibrated log odds of a bot, for a split's users and the bots of a seed.

    Raises:
        NotFiniteError: A score is NaN or infinite.
    """
    shared = DetectorConfig(data=config.data, evaluation=replace(config.evaluation, seed=seed))
    # detectors that differ in anything else get the same bots, made once
    validator = _validator(shared, split, detector.scaling.goals)
    human = _log_odds(detector, validator.human)
    bots = {family: _log_odds(detector, inputs).view(-1, len(human)) for family, inputs in validator.bots.items()}
    splits = load_splits(config.data)
    validation = human if split == "validation" else _log_odds(detector, detector.scaling.inputs(splits["validation"]))
    threshold = threshold_at_fpr(validation, config.evaluation.fpr).value
    return Scores(human, bots, splits[split].group, config.negatives.held_out, config.evaluation.fpr, threshold)


def _log_odds(detector: Detector, inputs: Inputs) -> Float[Tensor, "N"]:
    odds = detector.outputs(inputs).logit.double() / detector.temperature
    if not bool(odds.isfinite().all()):
        raise NotFiniteError("the detector's scores are not finite")
    return odds


@lru_cache(maxsize=8)  # as many seeds of one split
def _validator(config: DetectorConfig, split: str, goals: GoalConsistency | None) -> Validator:
    splits = load_splits(config.data)
    return Validator.fit(splits[split], Scaling.fit(splits, goals), config)
