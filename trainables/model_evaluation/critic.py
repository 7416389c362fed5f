"""Evaluate a critic again: other transitions and goals of a split's users, with and without each user.

Each seed draws other batches of the movements of each source; the baselines are scored on the same ones, and their
extrapolation is chosen on training movements. Without a user's movements the rows that were drawn from them are left
out, and the other rows keep their candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from trainables.core.config import build
from trainables.critic.api import load_critic
from trainables.critic.config import CriticConfig
from trainables.critic.evaluation.goal_evaluation import GoalEvaluation
from trainables.critic.evaluation.metrics import CRITIC
from trainables.critic.evaluation.validator import Validator
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.users import effective_users
from trainables.eval.intervals.jackknife import JackknifeEstimate, jackknife, mean
from trainables.model_evaluation.result import MetricsBySeed, SourceResult


def metrics_by_seed(checkpoint: Path, record: Mapping[str, Any], split: str, seeds: Sequence[int]) -> MetricsBySeed:
    """Return the metrics of a critic on a split's users for each seed, and of each of several sources.

    Raises:
        CheckpointError: The checkpoint cannot be used.
        ConfigError: The recorded configuration is invalid, or a source has one movement alone.
    """
    critic, config = load_critic(checkpoint), build(CriticConfig, record["config"])
    splits = load_splits(config.data)
    found = [validator_of(config, split, seed)(critic) for seed in seeds]
    owners = splits[split].group
    by_seed = tuple(metrics_by_user(evaluation, tuple(sorted(set(owners)))) for evaluation in found)
    return MetricsBySeed(owners, by_seed, source_results(found, splits, split))


def metrics_by_user(evaluation: GoalEvaluation, users: Sequence[str]) -> dict[str, JackknifeEstimate]:
    """Return every metric with and without each user; without one alone there is nothing left."""
    left_out = users if len(users) > 1 else ()
    return {
        metric.name: jackknife(metric.per_user(evaluation), evaluation.owners, left_out)
        for metric in CRITIC.metrics
        if metric.per_user is not None
    }


def source_results(found: Sequence[GoalEvaluation], splits: DataSplits, split: str) -> dict[str, SourceResult]:
    """Return the metrics of each of several sources, means over seeds; none of one source."""
    results = {}
    parts = [evaluation.by_source() for evaluation in found]
    for source in parts[0]:
        owners = [user for user, its in zip(splits[split].group, splits[split].source, strict=True) if its == source]
        users = tuple(sorted(set(owners)))
        seeds = [metrics_by_user(of_seed[source], users) for of_seed in parts]
        metrics = {name: mean([one[name] for one in seeds]) for name in seeds[0]}
        kept = splits.kept[source].share
        results[source] = SourceResult(users, len(owners), effective_users(owners), kept, metrics)
    return results


def validator_of(config: CriticConfig, split: str, seed: int) -> Validator:
    """Return the validator of a split under a seed; critics that differ in their networks alone share it."""
    asked = replace(config.evaluation, seed=seed)
    drawn = ("data", "goal_velocity", "tolerance_px")
    return _validator(CriticConfig(evaluation=asked, **{name: getattr(config, name) for name in drawn}), split)


@lru_cache(maxsize=8)  # as many seeds of one split
def _validator(config: CriticConfig, split: str) -> Validator:
    splits = load_splits(config.data)
    return Validator.fit(splits[split], splits["train"], config)
