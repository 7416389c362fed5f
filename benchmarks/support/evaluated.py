"""Evaluation of samples for benchmarks: every metric with and without each user, so that trainings compare in pairs."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from trainables.data.canonical import Canonical
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.evaluation import GeneratorEvaluation
from trainables.eval.generation.validator import Validator
from trainables.eval.intervals.jackknife import JackknifeEstimate, Statistic, jackknife, mean
from trainables.model_evaluation.generator import metrics_by_user, users_of
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_CONDITION_ERROR
from trainables.training.trainable import TrainingDivergedError


@lru_cache(maxsize=4)
def validator_of(data: DataConfig, split: str, evaluation: EvaluationConfig) -> Validator:
    """Return the validator of a split, with floors from all training users."""
    splits = load_splits(data)
    return Validator.fit(splits[split], splits["train"], data.canonical, evaluation)


def estimates(validator: Validator, samples: Canonical) -> dict[str, JackknifeEstimate]:
    """Return every metric that has an interval over users, the condition error included.

    Raises:
        TrainingDivergedError: More than half of the samples are no movements.
    """
    evaluations = validator.evaluations(samples)
    found = metrics_by_user(validator, evaluations)
    if VAL_AUC_EXCESS not in found:
        raise TrainingDivergedError("more than half of the evaluated samples are no movements")
    statistic = validator.mean_over_sources({name: condition_error(one) for name, one in evaluations.items()})
    error = jackknife(statistic, validator.held_out.group, users_of(validator))
    return {**found, VAL_CONDITION_ERROR: error}


def condition_error(evaluation: GeneratorEvaluation) -> Statistic:
    """Return the mean absolute error of the measured conditions of chosen movements, in training standard deviations.

    The mean, where the metric of the same name has the median: a jackknife is no interval of a median.
    """
    apart = evaluation.produced.measured_condition() - evaluation.matched.measured_condition()
    errors = (apart.abs() / evaluation.condition_std).mean(dim=1).double().numpy()
    return lambda movements: float(errors[evaluation.samples_of(movements)].mean())


def plain_means(validator: Validator, by_noise: Sequence[Mapping[str, JackknifeEstimate]]) -> dict[str, Any]:
    """Return the means over noises of every metric as plain values, with the users and the number of movements."""
    means = {name: mean([one[name] for one in by_noise]) for name in by_noise[0]}
    metrics = {name: {"value": one.value, "without": list(one.without)} for name, one in means.items()}
    return {"users": list(users_of(validator)), "movements": len(validator.held_out), "metrics": metrics}


def read_estimate(result: Mapping[str, Any], metric: str) -> JackknifeEstimate | None:
    """Return a metric of a finished cell; None where its training failed."""
    found = result.get("metrics")
    return None if found is None else JackknifeEstimate(found[metric]["value"], tuple(found[metric]["without"]))
