"""The door to judging again: a checkpoint of whatever kind, on people whom it was not trained on.

A search keeps the trial that looked best under one draw (of the sampler's noise, of the bots) and on one part of the
people, so that its figures are better than it is. Here a checkpoint is judged under several draws that no trial was
judged by, on the part that is asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainables import detectors, generators
from trainables.core.config import ConfigError, build, require
from trainables.core.threads import threads
from trainables.data.config import DataConfig
from trainables.data.dataset import PARTS, load_parts
from trainables.data.recordings import RecordingError
from trainables.diffusion.samplers import SamplingDivergedError
from trainables.eval.intervals.jackknife import mean
from trainables.model_evaluation import detector, generator
from trainables.model_evaluation.result import Findings, Judgement
from trainables.training.checkpoint import CheckpointError, load_record

JUDGED_ON = PARTS[1:]  # whoever a model learned from cannot judge it

JUDGES: dict[str, Callable[[Path, Mapping[str, Any], str, Sequence[int]], Findings]] = {
    **dict.fromkeys(generators.LOADERS, generator.findings),
    **dict.fromkeys(detectors.LOADERS, detector.findings),
}
"""Kind of a checkpoint -> what finds its figures."""


def judge(checkpoint: Path, part: str, seeds: Sequence[int]) -> Judgement:
    """A checkpoint on the people of a part, under its own configuration of the judgement, on one thread.

    Raises:
        ConfigError: the training part or none, no seed, or the same twice.
        CheckpointError: the checkpoint cannot be used, or was trained on data that are not those of today.
        SamplingDivergedError: a generator's network gives NaN or infinity.
    """
    require(part in JUDGED_ON, f"`part` in {{{', '.join(JUDGED_ON)}}}", f"part={part}")
    require(0 < len(seeds) == len(set(seeds)), "`seeds` are different, at least one", f"seeds={list(seeds)}")
    record = load_record(checkpoint)
    kind = record.get("kind")
    if kind not in JUDGES:
        known = " or ".join(f"`{name}`" for name in JUDGES)
        raise CheckpointError(f"{checkpoint}: a checkpoint of kind {known} is needed, but got {kind}")
    now = load_parts(build(DataConfig, record["config"]["data"])).sha256
    if record.get("data_sha256") != now:
        raise CheckpointError(f"{checkpoint}: trained on other data ({record.get('data_sha256')}) than today's ({now})")
    with threads(1):
        groups, movements, each = JUDGES[kind](checkpoint, record, part, seeds)
    found = [name for name in each[0] if all(name in figures for figures in each)]
    return Judgement(
        checkpoint_sha256=record["weights_sha256"],
        kind=kind,
        part=part,
        data_sha256=now,
        seeds=tuple(seeds),
        groups=groups,
        movements=movements,
        figures={name: mean([figures[name] for figures in each]) for name in found},
        by_seed={name: tuple(figures[name].value for figures in each) for name in found},
    )


def judged(checkpoint: Path, part: str, seeds: Sequence[int]) -> Judgement | str:
    """The judgement, or why there is none: for a task among others, which go on."""
    try:
        return judge(checkpoint, part, seeds)
    except (CheckpointError, ConfigError, RecordingError, SamplingDivergedError) as error:
        return " ".join(str(error).split())
