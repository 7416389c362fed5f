"""Evaluate a generator again: samples of new seeds against the users of a split, with and without each user.

Each seed gives one sample per held-out movement under noise that no trial was evaluated with; rows, folds, probes and
kernel width are fixed as `Validator` fixes them. Another sample has the conditions of training users, as the service
has them: those of the movements in the floor.

Each metric is also computed without the rows of each user, from the same scores of the remaining rows: neither the
probes nor the manifolds nor the kernel width are fitted again.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from trainables.core.config import build
from trainables.data.canonical import Canonical
from trainables.data.config import DataConfig
from trainables.data.dataset import load_splits
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.metrics import GENERATION
from trainables.eval.generation.metrics.two_sample import excess_per_user
from trainables.eval.generation.validator import Validator
from trainables.eval.intervals.jackknife import JackknifeEstimate, jackknife
from trainables.model_evaluation.result import MetricsBySeed
from trainables.models import load_generator
from trainables.training.metric import compute_all
from trainables.training.metric_names import VAL_REJECTED, VAL_SERVED_EXCESS


def metrics_by_seed(checkpoint: Path, record: Mapping[str, Any], split: str, seeds: Sequence[int]) -> MetricsBySeed:
    """Return the metrics of a checkpoint's samples against the users of a split, under its evaluation configuration.

    Raises:
        CheckpointError: The checkpoint cannot be used.
        SamplingDivergedError: The network returns NaN or infinity.
    """
    source, config = load_generator(checkpoint), record["config"]
    validator = validator_of(build(DataConfig, config["data"]), split, build(EvaluationConfig, config["evaluation"]))
    by_seed = [
        metrics_by_user(validator, source.sample_matching(validator.held_out, seed=seed))
        | served_excess(validator, source.sample_matching(validator.others, seed=seed))
        for seed in seeds
    ]
    return MetricsBySeed(validator.held_out.group, tuple(by_seed))


def served_excess(validator: Validator, samples: Canonical) -> dict[str, JackknifeEstimate]:
    """Return the headline of samples under conditions of training users, one per movement of the floor.

    Empty where more than half of them are no movements any more.
    """
    evaluation = validator.evaluation(samples)
    if not evaluation.evaluable:
        return {}
    statistic = excess_per_user(evaluation)
    return {VAL_SERVED_EXCESS: jackknife(statistic, validator.held_out.group, users_of(validator))}


@lru_cache(maxsize=2)
def validator_of(data: DataConfig, split: str, evaluation: EvaluationConfig) -> Validator:
    """Return the validator of a split."""
    splits = load_splits(data)
    return Validator.fit(splits[split], splits["train"], data.canonical, evaluation)


def users_of(validator: Validator) -> tuple[str, ...]:
    """Return the users of the held-out movements, sorted."""
    return tuple(sorted(set(validator.held_out.group)))


def metrics_by_user(validator: Validator, samples: Canonical) -> dict[str, JackknifeEstimate]:
    """Return the metrics of one sample per held-out movement, with and without each user; values as the validator's.

    Everything is fitted on all rows and nothing again without a user. Samples that are no movements any more leave with
    the movements that they match; if they are more than half, their share is the only metric.
    """
    evaluation = validator.evaluation(samples)
    computed = compute_all(GENERATION.metrics, evaluation) if evaluation.evaluable else {VAL_REJECTED}
    statistics = {
        metric.name: metric.per_user(evaluation)
        for metric in GENERATION.metrics
        if metric.per_user is not None and metric.name in computed
    }
    owners, users = validator.held_out.group, users_of(validator)
    return {name: jackknife(statistic, owners, users) for name, statistic in statistics.items()}
