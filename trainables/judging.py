"""Judging a checkpoint again: fresh noise, any held-out part, and what each figure would be without each person.

A search keeps the trial that looked best under one noise and on one part of the people, so that its figures are better
than it is. Here a checkpoint makes one sample per held-out movement for each of several noises that no trial was judged
by, on the part that is asked for; rows, folds, probes and kernel width are fixed as `Validator` fixes them.

Each figure is also computed without the rows of each group, from the same judgement of the remaining rows: neither the
probes nor the manifolds nor the kernel width are fitted again. `trainables.eval.clustered` makes intervals of these.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables import names
from trainables.checkpoint import CheckpointError, load_record
from trainables.config import ConfigError, build, require
from trainables.data.canonical import Canonical, reobserve
from trainables.data.dataset import PARTS, DataConfig, load_parts
from trainables.data.recordings import RecordingError
from trainables.diffusion.samplers import SamplingDivergedError
from trainables.eval.c2st import held_out_scores
from trainables.eval.clustered import Clustered, jackknife, mean
from trainables.eval.features import FEATURES, movement_features
from trainables.eval.manifold import precision_recall_rows
from trainables.eval.mmd import mmd_of_rows
from trainables.eval.tables import Indices, standardise
from trainables.eval.validation import EvaluationConfig, Validator
from trainables.generators import load
from trainables.manifest import CODE, code_sha256
from trainables.threads import threads

JUDGED_ON = PARTS[1:]  # whoever a generator learned from cannot judge it


@dataclass(frozen=True)
class Judgement:
    """One checkpoint on one part of the data, with fresh noise.

    Attributes:
        checkpoint_sha256: Of its weights.
        kind: Of the generator.
        part: Of the data, whose hash is `data_sha256`.
        seeds: Of the noise; figures are means over them.
        groups: Who made the movements; a figure's `without` is in this order.
        movements: That samples were asked to match, per noise.
        figures: By the names of `trainables.names`; only what could be computed under every noise.
        by_seed: The same figures, one value per noise.
        code_sha256: Over the code that drew the samples and computed the figures: all of `trainables`.
    """

    checkpoint_sha256: str
    kind: str
    part: str
    data_sha256: str
    seeds: tuple[int, ...]
    groups: tuple[str, ...]
    movements: int
    figures: Mapping[str, Clustered]
    by_seed: Mapping[str, tuple[float, ...]]
    code_sha256: str = field(default_factory=lambda: code_sha256(CODE))

    @property
    def is_of_today(self) -> bool:
        """Whether the code of this process would come to the same figures, as far as code is the same code."""
        return self.code_sha256 == code_sha256(CODE)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping; `from_json` of it is the same judgement."""
        figures = {name: {"value": f.value, "without": list(f.without)} for name, f in self.figures.items()}
        lists = {"seeds": list(self.seeds), "groups": list(self.groups)}
        return {**vars(self), **lists, "figures": figures, "by_seed": {k: list(v) for k, v in self.by_seed.items()}}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Judgement":
        """The judgement of a plain mapping; one that names no code is of none that is known.

        Raises:
            ConfigError: it is not one.
        """
        try:
            figures = {k: Clustered(float(f["value"]), tuple(f["without"])) for k, f in plain["figures"].items()}
            tuples = {"seeds": tuple(plain["seeds"]), "groups": tuple(plain["groups"])}
            by_seed = {name: tuple(values) for name, values in plain["by_seed"].items()}
            return cls(**{"code_sha256": "", **plain, **tuples, "figures": figures, "by_seed": by_seed})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not a judgement ({type(error).__name__}: {error})") from None


def judge(checkpoint: Path, part: str, seeds: Sequence[int]) -> Judgement:
    """Samples of a checkpoint against the people of a part, under its own evaluation configuration, on one thread.

    Raises:
        ConfigError: the training part or none, no noise, or the same twice.
        CheckpointError: the checkpoint cannot be used, or was trained on data that are not those of today.
        SamplingDivergedError: the network gives NaN or infinity.
    """
    require(part in JUDGED_ON, f"`part` in {{{', '.join(JUDGED_ON)}}}", f"part={part}")
    require(0 < len(seeds) == len(set(seeds)), "`seeds` are different, at least one", f"seeds={list(seeds)}")
    record, source = load_record(checkpoint), load(checkpoint)
    data = build(DataConfig, record["config"]["data"])
    now = load_parts(data).sha256
    if record.get("data_sha256") != now:
        raise CheckpointError(f"{checkpoint}: trained on other data ({record.get('data_sha256')}) than today's ({now})")
    with threads(1):
        validator = _validator(data, part, build(EvaluationConfig, record["config"]["evaluation"]))
        asked = validator.asked
        each = [figures_by_group(validator, source.like(asked, seed=seed)) for seed in seeds]
    found = [name for name in each[0] if all(name in figures for figures in each)]
    return Judgement(
        checkpoint_sha256=record["weights_sha256"],
        kind=record["kind"],
        part=part,
        data_sha256=now,
        seeds=tuple(seeds),
        groups=groups_of(validator),
        movements=len(asked),
        figures={name: mean([figures[name] for figures in each]) for name in found},
        by_seed={name: tuple(figures[name].value for figures in each) for name in found},
    )


def judged(checkpoint: Path, part: str, seeds: Sequence[int]) -> Judgement | str:
    """The judgement, or why there is none: for a task among others, which go on."""
    try:
        return judge(checkpoint, part, seeds)
    except (CheckpointError, ConfigError, RecordingError, SamplingDivergedError) as error:
        return " ".join(str(error).split())


@lru_cache(maxsize=2)
def _validator(data: DataConfig, part: str, evaluation: EvaluationConfig) -> Validator:
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
