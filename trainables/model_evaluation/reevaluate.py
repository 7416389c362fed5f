"""Evaluate a checkpoint of any kind again, on users whom it was not trained on.

A search keeps the trial that was best under one sample (of the sampler's noise, of the bots) and on one split, so its
metrics are optimistic. Here a checkpoint is evaluated under several new seeds that no trial was evaluated with, on the
split that is named.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainables.core.config import ConfigError, build, require
from trainables.core.threads import threads
from trainables.critic.agent.spec import AGENT_TYPE
from trainables.critic.spec import CRITIC_TYPE
from trainables.data.config import EVALUATION_SPLITS, UNSEEN_USERS, DataConfig
from trainables.data.readers.recordings import RecordingError
from trainables.data.splits.loading import load_splits
from trainables.data.users import effective_users, largest_share
from trainables.detector.spec import DETECTOR
from trainables.diffusion.samplers import SamplingDivergedError
from trainables.eval.intervals.jackknife import mean
from trainables.generation.model_type import GENERATOR
from trainables.model_evaluation import agent, critic, detector, generator
from trainables.model_evaluation.result import EvaluationResult, MetricsBySeed
from trainables.specs import TRAINABLES
from trainables.training.checkpoint import CheckpointError, load_record
from trainables.training.checkpoint_record import require_same_data

EVALUATORS: dict[str, Callable[[Path, Mapping[str, Any], str, Sequence[int]], MetricsBySeed]] = {
    GENERATOR.name: generator.metrics_by_seed,
    DETECTOR.name: detector.metrics_by_seed,
    CRITIC_TYPE.name: critic.metrics_by_seed,
    AGENT_TYPE.name: agent.metrics_by_seed,
}
"""Type of a model -> function that computes its metrics."""


def evaluate(checkpoint: Path, split: str, seeds: Sequence[int]) -> EvaluationResult:
    """Evaluate a checkpoint on a split, under its own evaluation configuration, on one thread.

    Raises:
        ConfigError: The training split or an unknown one, no seed, or a seed given twice.
        CheckpointError: The checkpoint cannot be used, or was trained on other data than the present ones.
        SamplingDivergedError: A generator's network returns NaN or infinity.
    """
    known = (*EVALUATION_SPLITS, UNSEEN_USERS)
    require(split in known, f"`split` in {{{', '.join(known)}}}", f"split={split}")
    require(0 < len(seeds) == len(set(seeds)), "`seeds` to be different, at least one", f"seeds={list(seeds)}")
    record = load_record(checkpoint)
    kind = record.get("kind")
    if kind not in TRAINABLES:
        kinds = " or ".join(f"`{name}`" for name in TRAINABLES)
        raise CheckpointError(f"{checkpoint}: expected a checkpoint of kind {kinds}, but got {kind}")
    data_sha256 = load_splits(build(DataConfig, record["config"]["data"])).sha256
    require_same_data(checkpoint, record, data_sha256)
    with threads(1):
        owners, by_seed, sources = EVALUATORS[TRAINABLES[kind].model_type.name](checkpoint, record, split, seeds)
    common = [name for name in by_seed[0] if all(name in metrics for metrics in by_seed)]
    return EvaluationResult(
        checkpoint_sha256=record["weights_sha256"],
        kind=kind,
        split=split,
        data_sha256=data_sha256,
        seeds=tuple(seeds),
        users=tuple(sorted(set(owners))),
        movements=len(owners),
        metrics={name: mean([metrics[name] for metrics in by_seed]) for name in common},
        by_seed={name: tuple(metrics[name].value for metrics in by_seed) for name in common},
        effective_users=effective_users(owners),
        largest_share=largest_share(owners),
        sources=sources,
    )


def try_evaluate(checkpoint: Path, split: str, seeds: Sequence[int]) -> EvaluationResult | str:
    """Return the evaluation result, or the reason why there is none, so that a failed task does not stop the others."""
    try:
        return evaluate(checkpoint, split, seeds)
    except (CheckpointError, ConfigError, RecordingError, SamplingDivergedError) as error:
        return " ".join(str(error).split())
