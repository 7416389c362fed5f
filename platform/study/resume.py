"""Exactly once: a trial that was cut, by whatever, goes on from its last checkpoint and counts once.

A cut trial is told FAIL with the reason, and its point is enqueued again with the checkpoint to go on from. The order
makes it safe to be cut in between: first the point is enqueued with the number of the trial that it resumes, then the
trial is told; who finds it still running next time finds its successor too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from trainables.training.checkpoint_record import CheckpointError, load_record
from trainables.training.metric_names import CHECKPOINT_PATH, EPOCH
from trainables.training.trial_keys import BEFORE, METRICS_FILE

RAY_TRIAL = "ray_trial_id"
REASON = "reason"
REQUEUED = "requeued"  # whether the point of this trial was enqueued again
METRICS = "metrics"  # of the latest epoch
FOLDER = "folder"  # where Tune keeps the trial
RESUMED_FROM = "resumed_from"  # number of the interrupted trial that this one continues
START = "start"  # checkpoint, epoch, metrics and those of the epochs before it, that it goes on from
REPEATS = "repeats"  # number of the trial that this one repeats with another training seed
OVERRIDES = "overrides"  # values of a trial beside those that are searched, by dotted key
ATTEMPT = "attempt"  # how often a trial has crashed before this one
HISTORY = "history"  # epoch -> the metric of the rungs, where Optuna takes no intermediate values
OLDER_NAMES = {REQUEUED: "enqueued_again", RESUMED_FROM: "resumes"}  # written by earlier versions; still read
KEPT = (REPEATS, OVERRIDES, ATTEMPT)  # attributes that a successor inherits


class Found(NamedTuple):
    """The newest whole checkpoint of a trial."""

    path: Path
    epoch: int
    metrics: Mapping[str, float]
    before: Sequence[Mapping[str, float]] = ()  # epoch and metrics of all epochs before it


def requeue_orphans(study: optuna.Study) -> int:
    """Take up every trial that a dead driver left RUNNING; returns how many."""
    orphans = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for orphan in orphans:
        requeue(study, orphan.number, "the driver ended before the trial did")
    return len(orphans)


def requeue(study: optuna.Study, number: int, reason: str, **attributes: Any) -> None:
    """Enqueue a running trial's point again, to go on from its last checkpoint, and tell that it was cut."""
    trials = study.get_trials(deepcopy=False)
    trial = trials[number]
    if not any(resumed_from(other) == number for other in trials):
        study.enqueue_trial(_point(trial), user_attrs={**_inherited(trial), **attributes, RESUMED_FROM: number})
    storage = study._storage
    storage.set_trial_user_attr(trial._trial_id, REASON, reason)
    storage.set_trial_user_attr(trial._trial_id, REQUEUED, True)
    study.tell(number, state=TrialState.FAIL)


def _point(trial: FrozenTrial) -> dict[str, Any]:
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def _inherited(trial: FrozenTrial) -> dict[str, Any]:
    found = newest_checkpoint(trial)
    kept = {name: trial.user_attrs[name] for name in KEPT if name in trial.user_attrs}
    if found is None:
        return kept | ({START: trial.user_attrs[START]} if START in trial.user_attrs else {})
    start = {"checkpoint": str(found.path), EPOCH: found.epoch, METRICS: dict(found.metrics), BEFORE: found.before}
    return kept | {START: start}


def requeued(trial: FrozenTrial) -> bool:
    """Whether a trial was interrupted and its point enqueued again."""
    return bool(_attribute(trial, REQUEUED))


def resumed_from(trial: FrozenTrial) -> int | None:
    """Return the number of the interrupted trial that a trial continues; None for a trial that began anew."""
    number: int | None = _attribute(trial, RESUMED_FROM)
    return number


def _attribute(trial: FrozenTrial, name: str) -> Any:
    return trial.user_attrs.get(name, trial.user_attrs.get(OLDER_NAMES[name]))


def history(trial: FrozenTrial) -> dict[int, float]:
    """Epoch -> the metric of the rungs."""
    told = trial.user_attrs.get(HISTORY, trial.intermediate_values)
    return {int(epoch): value for epoch, value in told.items()}


def last_epoch(trial: FrozenTrial) -> int | None:
    """The latest epoch of a trial; None before its first."""
    return max(history(trial), default=None)


def predecessors(trials: Sequence[FrozenTrial], trial: FrozenTrial) -> Iterator[int]:
    """Numbers of the trials that a trial goes on from, the latest first."""
    while (number := resumed_from(trial)) is not None:
        trial = trials[number]
        yield number


def newest_checkpoint(trial: FrozenTrial, verified: bool = True) -> Found | None:
    """The newest checkpoint of a trial that is whole: the process that copied it may have been killed over it.

    Args:
        verified: Whether its tensors are read too, which takes as long as reading them does, and torch.
    """
    for folder in sorted(checkpoints(trial), key=lambda path: path.name, reverse=True):
        try:
            metrics = json.loads((folder / METRICS_FILE).read_text())
            (_load_checkpoint if verified else load_record)(folder)
            before = metrics.pop(BEFORE, [])
            return Found(folder, int(metrics.pop(EPOCH)), metrics, before)
        except (CheckpointError, OSError, ValueError, KeyError):
            continue
    return None


def _load_checkpoint(folder: Path) -> object:
    from trainables.training.checkpoint import load_checkpoint  # here: commands that only read studies need no torch

    return load_checkpoint(folder)


def checkpoints(trial: FrozenTrial) -> list[Path]:
    """All checkpoint folders of a trial: in its own folder, or where its worker group keeps them."""
    attributes = trial.user_attrs
    folders = {Path(attributes[FOLDER])} if FOLDER in attributes else set()
    if FOLDER in attributes and RAY_TRIAL in attributes:
        folders.add(Path(attributes[FOLDER]).parent.parent / "groups" / f"group-{attributes[RAY_TRIAL]}")
    if CHECKPOINT_PATH in attributes:
        folders.add(Path(attributes[CHECKPOINT_PATH]).parent)
    return [path for folder in folders for path in folder.glob("checkpoint_*") if path.is_dir()]
