"""Judging a generator again: samples of fresh noise against the people of a part, with and without each of them.

Each seed gives one sample per held-out movement under noise that no trial was judged by; rows, folds, probes and kernel
width are fixed as `Validator` fixes them.

Each figure is also computed without the rows of each group, from the same judgement of the remaining rows: neither the
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
from trainables.data.dataset import load_parts
from trainables.eval.features.feature_tables import Indices, standardise
from trainables.eval.features.kinematic import FEATURES, movement_features
from trainables.eval.generation.validator import EvaluationConfig, Validator
from trainables.eval.intervals.jackknife import Clustered, jackknife
from trainables.eval.two_sample.c2st import held_out_scores
from trainables.eval.two_sample.manifold import precision_recall_rows
from trainables.eval.two_sample.mmd import mmd_of_rows
from trainables.generators import load
from trainables.model_evaluation.result import Findings
from trainables.training import metric_names as names


def findings(checkpoint: Path, record: Mapping[str, Any], part: str, seeds: Sequence[int]) -> Findings:
    """Samples of a checkpoint against the people of a part, under its own evaluation configuration.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        SamplingDivergedError: the network gives NaN or infinity.
    """
    source, config = load(checkpoint), record["config"]
    validator = validator_of(build(DataConfig, config["data"]), part, build(EvaluationConfig, config["evaluation"]))
    each = [figures_by_group(validator, source.like(validator.asked, seed=seed)) for seed in seeds]
    return Findings(groups_of(validator), len(validator.asked), tuple(each))


@lru_cache(maxsize=2)
def validator_of(data: DataConfig, part: str, evaluation: EvaluationConfig) -> Validator:
    """Who judges samples on a part."""
    parts = load_parts(data)
    return Validator.fit(parts[part], parts["train"], data.canonical, evaluation)


def groups_of(validator: Validator) -> tuple[str, ...]:
    """Whose movements are asked for, in order."""
    return tuple(sorted(set(validator.asked.group)))


def figures_by_group(validator: Validator, samples: Canonical) -> dict[str, Clustered]:
    """Figures of one sample per asked movement, with and without each group; the values are the validator's own.

    Samples that no longer are movements after re-observation leave with the movements that they were asked to match.
    Where they are more than half, their share is all that is told, as there.
    """
    produced, rows = reobserve(samples, validator.canonical)
    place = torch.full((len(samples),), -1).index_put((rows,), torch.arange(len(rows))).numpy()
    rejected = {names.VAL_REJECTED: lambda asked: float((place[asked] < 0).mean())}
    known = {} if 2 * len(rows) < len(samples) else _figures(validator, produced, rows)

    def among_known(statistic: "Figure") -> Callable[[Indices], float]:
        return lambda asked: statistic(place[asked][place[asked] >= 0], asked)

    statistics = rejected | {name: among_known(statistic) for name, statistic in known.items()}
    owners, groups = validator.asked.group, groups_of(validator)
    return {name: jackknife(statistic, owners, groups) for name, statistic in statistics.items()}


Figure = Callable[[Indices, Indices], float]  # of chosen samples, and of the asked movements that were chosen with them


def _figures(validator: Validator, produced: Canonical, rows: Tensor) -> dict[str, Figure]:
    """Each figure as a function of the rows that it is about: everything is fitted here, nothing afterwards."""
    config, training = validator.config, validator.training
    real, fake = validator.features[rows], movement_features(produced.deltas, produced.mask)
    matched = validator.observed.take(rows).group
    scaled = standardise(real, fake, columns=FEATURES)
    taken_for_real, taken_for_fake = held_out_scores(
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
        names.VAL_C2ST: lambda kept, _: float(np.mean([taken_for_real[kept].mean(), taken_for_fake[kept].mean()])),
        names.VAL_MMD: lambda kept, _: mmd(kept),
        names.VAL_PRECISION: lambda kept, _: float(realistic[kept].mean()),
        names.VAL_RECALL: lambda kept, _: float(recalled[kept].mean()),
        names.VAL_MEMORISATION: lambda kept, asked: (distance[kept].median() / reference[asked].median()).item(),
        names.VAL_MEMORISED_SHARE: lambda kept, _: float(near[kept].mean()),
    }
