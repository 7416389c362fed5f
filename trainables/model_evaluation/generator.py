"""Evaluate a generator again: samples of new seeds against the users of a split, with and without each user.

Each seed gives one sample per held-out movement under noise that no trial was evaluated with; rows, folds, probes and
kernel width are fixed as `Validator` fixes them. Another sample has the conditions of training users, as the service
has them: those of the movements in the floor.

Each metric is also computed without the rows of each user, from the same scores of the remaining rows: neither the
probes nor the manifolds nor the kernel width are fitted again. Of several sources a metric is the mean over sources,
and the result holds the two-sample tests of each as well, with and without each of its own users.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from trainables.core.config import build
from trainables.data.config import DataConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.users import effective_users
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.evaluation import GeneratorEvaluation
from trainables.eval.generation.metrics import GENERATION
from trainables.eval.generation.metrics.two_sample import excess_per_user, of_probe_per_user
from trainables.eval.generation.validator import Validator, metrics_of
from trainables.eval.intervals.jackknife import JackknifeEstimate, jackknife, mean
from trainables.model_evaluation.result import MetricsBySeed, SourceResult
from trainables.models import load_generator
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_SERVED_EXCESS, probe_auc, probe_floor

Evaluations = Mapping[str, GeneratorEvaluation]
"""Source -> samples with the movements that they match, as `Validator.evaluations` returns them."""


def metrics_by_seed(checkpoint: Path, record: Mapping[str, Any], split: str, seeds: Sequence[int]) -> MetricsBySeed:
    """Return the metrics of a checkpoint's samples against the users of a split, under its evaluation configuration.

    Raises:
        CheckpointError: The checkpoint cannot be used.
        SamplingDivergedError: The network returns NaN or infinity.
    """
    generator, config = load_generator(checkpoint), record["config"]
    data = build(DataConfig, config["data"])
    evaluation = build(EvaluationConfig, {**config["evaluation"], "noise_seed": None})  # one validator for all trials
    validator = validator_of(data, split, evaluation)
    by_seed, by_source = [], []
    for seed in seeds:
        found, served = (
            validator.evaluations(generator.sample_matching(conditions, seed=seed))
            for conditions in (validator.held_out, validator.others)
        )
        by_seed.append(metrics_by_user(validator, found) | served_excess(validator, served))
        by_source.append(tests_by_source(validator, found))
    return MetricsBySeed(
        validator.held_out.group, tuple(by_seed), source_results(validator, by_source, load_splits(data))
    )


def served_excess(validator: Validator, evaluations: Evaluations) -> dict[str, JackknifeEstimate]:
    """Return the headline of samples under conditions of training users, one per movement of the floor.

    Empty where more than half of them are no movements any more.
    """
    if not all(evaluation.evaluable for evaluation in evaluations.values()):
        return {}
    of_sources = {source: excess_per_user(evaluation) for source, evaluation in evaluations.items()}
    statistic = validator.mean_over_sources(of_sources)
    return {VAL_SERVED_EXCESS: jackknife(statistic, validator.held_out.group, users_of(validator))}


@lru_cache(maxsize=2)
def validator_of(data: DataConfig, split: str, evaluation: EvaluationConfig) -> Validator:
    """Return the validator of a split."""
    splits = load_splits(data)
    return Validator.fit(splits[split], splits["train"], data.canonical, evaluation)


def users_of(validator: Validator) -> tuple[str, ...]:
    """Return the users of the held-out movements, sorted."""
    return tuple(sorted(set(validator.held_out.group)))


def metrics_by_user(validator: Validator, evaluations: Evaluations) -> dict[str, JackknifeEstimate]:
    """Return the metrics of one sample per held-out movement, with and without each user; values as the validator's.

    Everything is fitted on all rows and nothing again without a user. Samples that are no movements any more leave with
    the movements that they match; if they are more than half, their share is the only metric.
    """
    computed, owners, users = metrics_of(evaluations), validator.held_out.group, users_of(validator)
    return {
        metric.name: jackknife(
            validator.mean_over_sources({source: metric.per_user(found) for source, found in evaluations.items()}),
            owners,
            users,
        )
        for metric in GENERATION.metrics
        if metric.per_user is not None and metric.name in computed
    }


def tests_by_source(validator: Validator, evaluations: Evaluations) -> dict[str, dict[str, JackknifeEstimate]]:
    """Return the two-sample tests of each of several sources, with and without each of its own users; else none."""
    if len(evaluations) < 2 or not all(evaluation.evaluable for evaluation in evaluations.values()):
        return {}
    found = {}
    for source, evaluation in evaluations.items():
        owners = validator.by_source[source].observed.group
        statistics = {VAL_AUC_EXCESS: excess_per_user(evaluation)}
        for probe in validator.config.probes:
            statistics |= {
                probe_auc(probe): of_probe_per_user("auc", probe, evaluation),
                probe_floor(probe): of_probe_per_user("floor", probe, evaluation),
            }
        users = sorted(set(owners))
        found[source] = {name: jackknife(statistic, owners, users) for name, statistic in statistics.items()}
    return found


def source_results(
    validator: Validator, by_seed: Sequence[Mapping[str, Mapping[str, JackknifeEstimate]]], splits: DataSplits
) -> dict[str, SourceResult]:
    """Return the tests of each source, means over seeds; none where a seed has none."""
    found = {}
    for source in validator.by_source if all(by_seed) else ():
        owners = validator.by_source[source].observed.group
        metrics = {name: mean([tests[source][name] for tests in by_seed]) for name in by_seed[0][source]}
        found[source] = SourceResult(
            tuple(sorted(set(owners))), len(owners), effective_users(owners), splits.kept[source].share, metrics
        )
    return found
