"""Evaluate an agent again: other episodes, with and without each block of them.

Each seed draws other tasks and other motor noise. An agent is evaluated in an environment and not on movements, so that
blocks of tasks stand where users do elsewhere.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainables.critic.agent.api import load_agent
from trainables.critic.agent.evaluation.metrics import AGENT
from trainables.critic.agent.evaluation.reach_evaluation import ReachEvaluation, reach
from trainables.eval.intervals.jackknife import JackknifeEstimate, jackknife
from trainables.model_evaluation.result import MetricsBySeed


def metrics_by_seed(checkpoint: Path, record: Mapping[str, Any], split: str, seeds: Sequence[int]) -> MetricsBySeed:
    """Return the metrics of an agent in the tasks of a split for each seed.

    Raises:
        CheckpointError: The checkpoint cannot be used.
    """
    agent = load_agent(checkpoint)
    config = agent.config
    found = [
        reach(agent.act, config.environment, config.evaluation.episodes, seed, split, config.coordinates)
        for seed in seeds
    ]
    return MetricsBySeed(found[0].owners, tuple(map(metrics_by_block, found)))


def metrics_by_block(evaluation: ReachEvaluation) -> dict[str, JackknifeEstimate]:
    """Return every metric with and without each block of tasks."""
    blocks = tuple(sorted(set(evaluation.owners)))
    return {
        metric.name: jackknife(metric.per_user(evaluation), evaluation.owners, blocks)
        for metric in AGENT.metrics
        if metric.per_user is not None
    }
