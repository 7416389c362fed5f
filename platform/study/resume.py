"""Resume interrupted trials from their last checkpoint; each counts once.

An interrupted trial is recorded as FAIL with the reason, and its point is enqueued again with the checkpoint to
resume from. The order makes an interruption between the steps safe: the point is enqueued first, with the number of the
trial that it resumes, then the trial is recorded; a run that finds the trial still RUNNING finds its successor, too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from platform.study.paths import folder_of, path_within, relative_path
from trainables.training.checkpoint_record import CheckpointError, load_record
from trainables.training.metric_names import CHECKPOINT_PATH, EPOCH
from trainables.training.trial_keys import BEFORE, GROUPS, METRICS_FILE

RAY_TRIAL = "ray_trial_id"
REASON = "reason"
REQUEUED = "requeued"  # whether the point of this trial was enqueued again
METRICS = "metrics"  # of the latest epoch
FOLDER = "folder"  # of the trial in Tune's results
RESUMED_FROM = "resumed_from"  # number of the interrupted trial that this one continues
START = "start"  # checkpoint to resume from: its path, epoch, metrics, and those of the epochs before it
REPEATS = "repeats"  # number of the trial that this one repeats with another seed
OVERRIDES = "overrides"  # values of a trial beside the searched ones, by dotted key
ATTEMPT = "attempt"  # crashes of this trial's predecessors
PRIOR = "prior"  # study and number of the trial that this one repeats the record of: an observation of another study
HISTORY = "history"  # epoch -> scheduler metric, where Optuna supports no intermediate values
OLDER_NAMES = {REQUEUED: "enqueued_again", RESUMED_FROM: "resumes"}  # written by earlier versions; still read
INHERITED = (REPEATS, OVERRIDES, ATTEMPT)  # attributes that a successor inherits


class ResumePoint(NamedTuple):
    """The newest complete checkpoint of a trial."""

    path: Path
    epoch: int
    metrics: Mapping[str, float]
    before: Sequence[Mapping[str, float]] = ()  # epoch and metrics of all epochs before it


def requeue_orphans(study: optuna.Study) -> int:
    """Requeue every trial that a dead driver left RUNNING; returns how many."""
    orphans = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for orphan in orphans:
        requeue(study, orphan.number, "the driver ended before the trial did")
    return len(orphans)


def requeue(study: optuna.Study, number: int, reason: str, **attributes: Any) -> None:
    """Enqueue a running trial's point again, to be resumed from its last checkpoint, and tell the trial FAIL."""
    trials = study.get_trials(deepcopy=False)
    trial = trials[number]
    if not any(resumed_from(other) == number for other in trials):
        study.enqueue_trial(
            point_of(trial), user_attrs={**_inherited(trial, folder_of(study)), **attributes, RESUMED_FROM: number}
        )
    storage = study._storage
    storage.set_trial_user_attr(trial._trial_id, REASON, reason)
    storage.set_trial_user_attr(trial._trial_id, REQUEUED, True)
    study.tell(number, state=TrialState.FAIL)


def point_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters of a trial, those that it was enqueued with too."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def _inherited(trial: FrozenTrial, folder: Path | None) -> dict[str, Any]:
    newest = newest_checkpoint(trial, folder)
    inherited = {name: trial.user_attrs[name] for name in INHERITED if name in trial.user_attrs}
    if newest is None:
        return inherited | ({START: trial.user_attrs[START]} if START in trial.user_attrs else {})
    path = relative_path(newest.path, folder)
    start = {"checkpoint": path, EPOCH: newest.epoch, METRICS: dict(newest.metrics), BEFORE: newest.before}
    return inherited | {START: start}


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
    """Return the scheduler metric by epoch."""
    values = trial.user_attrs.get(HISTORY, trial.intermediate_values)
    return {int(epoch): value for epoch, value in values.items()}


def last_epoch(trial: FrozenTrial) -> int | None:
    """Return the latest epoch of a trial; None before its first."""
    return max(history(trial), default=None)


def predecessors(trials: Sequence[FrozenTrial], trial: FrozenTrial) -> Iterator[int]:
    """Yield the numbers of the trials that a trial resumes, latest first."""
    while (number := resumed_from(trial)) is not None:
        trial = trials[number]
        yield number


def newest_checkpoint(trial: FrozenTrial, study_folder: Path | None, verified: bool = True) -> ResumePoint | None:
    """Return the newest complete checkpoint of a trial: its writer may have been killed while copying the last one.

    Args:
        study_folder: As `checkpoints` takes it.
        verified: Whether its tensors are read too, which takes as long as reading them does, and torch.
    """
    for folder in sorted(checkpoints(trial, study_folder), key=lambda path: path.name, reverse=True):
        try:
            metrics = json.loads((folder / METRICS_FILE).read_text())
            (_load_checkpoint if verified else load_record)(folder)
            before = metrics.pop(BEFORE, [])
            return ResumePoint(folder, int(metrics.pop(EPOCH)), metrics, before)
        except (CheckpointError, OSError, ValueError, KeyError):
            continue
    return None


def _load_checkpoint(folder: Path) -> object:
    from trainables.training.checkpoint import load_checkpoint  # here: commands that only read studies need no torch

    return load_checkpoint(folder)


def trial_folder(study: optuna.Study, trial: FrozenTrial) -> Path | None:
    """Return the folder of a trial as it is now; None where none is recorded, or it is not within the study's."""
    recorded = trial.user_attrs.get(FOLDER)
    return path_within(recorded, folder_of(study)) if recorded else None


def checkpoints(trial: FrozenTrial, study_folder: Path | None) -> list[Path]:
    """Return all checkpoint folders of a trial: in its own folder, or in that of its worker group.

    Args:
        study_folder: Of the trial's study, within which they lie; None where paths are recorded as they are.
    """
    attributes = trial.user_attrs
    recorded = set[Path]()
    if FOLDER in attributes:
        own = Path(attributes[FOLDER])
        recorded.add(own)
        if RAY_TRIAL in attributes:
            recorded.add(own.parent.parent / GROUPS / f"group-{attributes[RAY_TRIAL]}")
    if CHECKPOINT_PATH in attributes:
        recorded.add(Path(attributes[CHECKPOINT_PATH]).parent)
    folders = {path_within(path, study_folder) for path in recorded} - {None}
    found = (path for folder in folders if folder for path in folder.glob("checkpoint_*"))
    return [path for path in found if path.is_dir() and not path.is_symlink()]
