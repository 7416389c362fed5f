"""Evaluate a generator again: samples of new seeds against the users of a split, with and without each user.

Each seed gives one sample per held-out movement under noise that no trial was evaluated with; rows, folds, probes and
kernel width are fixed as `Validator` fixes them.

Each metric is also computed without the rows of each user, from the same scores of the remaining rows: neither the
probes nor the manifolds nor the kernel width are fitted again.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.core.config import build
from trainables.data.canonical import Canonical, reobserve
from trainables.data.config import DataConfig
from trainables.data.dataset import load_splits
from trainables.eval.features.feature_tables import standardise
from trainables.eval.features.kinematic import FEATURES, movement_features
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.validator import Validator
from trainables.eval.indices import Indices
from trainables.eval.intervals.jackknife import JackknifeEstimate, jackknife
from trainables.eval.two_sample.c2st import held_out_scores
from trainables.eval.two_sample.manifold import precision_recall_rows
from trainables.eval.two_sample.mmd import mmd_of_rows
from trainables.model_evaluation.result import MetricsBySeed
from trainables.models import load_generator
from trainables.training import metric_names as names


def metrics_by_seed(checkpoint: Path, record: Mapping[str, Any], split: str, seeds: Sequence[int]) -> MetricsBySeed:
    """Return the metrics of a checkpoint's samples against the users of a split, under its evaluation configuration.

    Raises:
        CheckpointError: The checkpoint cannot be used.
        SamplingDivergedError: The network returns NaN or infinity.
    """
    source, config = load_generator(checkpoint), record["config"]
    validator = validator_of(build(DataConfig, config["data"]), split, build(EvaluationConfig, config["evaluation"]))
    by_seed = [metrics_by_user(validator, source.like(validator.held_out, seed=seed)) for seed in seeds]
    return MetricsBySeed(users_of(validator), len(validator.held_out), tuple(by_seed))


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

    Samples that are no movements after re-observation are left out together with the held-out movements that they
    match. If they are more than half, their share is the only metric, as in the validator.
    """
    produced, rows = reobserve(samples, validator.canonical)
    place = torch.full((len(samples),), -1).index_put((rows,), torch.arange(len(rows))).numpy()
    rejected = {names.VAL_REJECTED: lambda held_out: float((place[held_out] < 0).mean())}
    usable = {} if 2 * len(rows) < len(samples) else _metrics(validator, produced, rows)

    def among_usable(metric: "Metric") -> Callable[[Indices], float]:
        return lambda held_out: metric(place[held_out][place[held_out] >= 0], held_out)

    statistics = rejected | {name: among_usable(metric) for name, metric in usable.items()}
    owners, users = validator.held_out.group, users_of(validator)
    return {name: jackknife(statistic, owners, users) for name, statistic in statistics.items()}


Metric = Callable[[Indices, Indices], float]  # of chosen samples, and of the held-out movements chosen with them


def _metrics(validator: Validator, produced: Canonical, rows: Tensor) -> dict[str, Metric]:
    """Return each metric as a function of chosen rows: everything is fitted here and nothing afterwards."""
    config, training = validator.config, validator.training
    real, fake = validator.features[rows], movement_features(produced.deltas, produced.mask)
    matched = validator.observed.take(rows).group
    scaled = standardise(real, fake, columns=FEATURES)
    real_correct, fake_correct = held_out_scores(
        real,
        fake,
        real_groups=matched,
        fake_groups=produced.group,
        probe=config.probe,
        folds=config.folds,
        seed=config.seed,
        columns=FEATURES,
    ).correct
    realistic, recalled = (
        part.numpy() for part in precision_recall_rows(scaled.real, scaled.others[0], seed=config.seed)
    )
    mmd = mmd_of_rows(scaled.real, scaled.others[0], validator.sigma)
    distance, reference = training.distance(produced.deltas, produced.mask), training.reference
    near = (distance <= training.near).numpy()
    return {
        names.VAL_C2ST: lambda kept, _: float(np.mean([real_correct[kept].mean(), fake_correct[kept].mean()])),
        names.VAL_MMD: lambda kept, _: mmd(kept),
        names.VAL_PRECISION: lambda kept, _: float(realistic[kept].mean()),
        names.VAL_RECALL: lambda kept, _: float(recalled[kept].mean()),
        names.VAL_MEMORISATION: lambda kept, held_out: (distance[kept].median() / reference[held_out].median()).item(),
        names.VAL_MEMORISED_SHARE: lambda kept, _: float(near[kept].mean()),
    }
