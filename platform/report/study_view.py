"""Read-only view of a study and its folder: states, learning curves, evaluations, leaderboard, lineage."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from platform.leaderboard.archive import EVALUATIONS, LEADERBOARD, VALIDATION, EvaluationArchive
from platform.leaderboard.freshness import stale_line
from platform.leaderboard.holdout_ledger import HOLDOUT, LEDGER, HoldoutEvaluation, Ledger
from platform.leaderboard.reference import Reference
from platform.study.objectives import Objective
from platform.study.ranking import (
    INTERRUPTED,
    SCHEDULER_METRIC,
    RankedTrial,
    current_names,
    metric_set_of,
    objectives_of,
    ranking,
    shown_trials,
)
from platform.study.resume import PRIOR, history, predecessors, requeued, resumed_from, trial_folder
from trainables.core.config import ConfigError, require
from trainables.eval.two_sample.null_band import NullBand
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint_record import CheckpointError
from trainables.training.manifest import MANIFEST
from trainables.training.metric import MetricSet

SUMMARY = "summary.json"
REPORT = "report.html"
PRIOR_STATE = "PRIOR"
STATES = ("COMPLETE", "PRUNED", "FAIL", INTERRUPTED, "RUNNING", "WAITING", PRIOR_STATE)
"""Optuna's trial states, those of a trial that will be resumed and of another study's; in the order of tables."""

BOARD_KEYS = frozenset({"rows", "noise_seeds", "holdout"})  # of a leaderboard
ROW_KEYS = frozenset({"trial", "params", "searched", "validation", "holdout", "probability_best"})  # of its rows

Board = Mapping[str, Any]


@dataclass(frozen=True)
class StudyView:
    """A study with the files of its folder, as reports and tables read it.

    Attributes:
        trials: All trials, by number.
        ranked: Those that have a result, without failed ones, best first.
        objectives: The objectives of the study.
        metric_set: Headline metric and display names of its trainable.
        rung: The metric of the intermediate values.
        board: The leaderboard's file; None before the first.
        reference: What real movements read in the place of a model's; None before the first summary, where there is
            none, and where an older version wrote it, which measured another one.
    """

    study: optuna.Study
    folder: Path
    trials: tuple[FrozenTrial, ...]
    ranked: tuple[RankedTrial, ...]
    objectives: tuple[Objective, ...]
    metric_set: MetricSet
    scheduler_metric: str
    board: Board | None
    reference: Reference | None

    @property
    def no_difference(self) -> NullBand | None:
        """Band of the headline where nothing but chance tells real movements and a model's apart, where it is known."""
        return self.reference.no_difference if self.reference else None

    @property
    def stale(self) -> str:
        """What the leaderboard misses where it is older than the latest trial; empty where it is not."""
        return stale_line(self.board, self.study)

    @property
    def best(self) -> RankedTrial | None:
        """The first trial of the leaderboard, or of the ranking before there is a leaderboard."""
        first = {row["trial"] for row in (self.board or {}).get("rows", [])[:1]}
        return next((trial for trial in self.ranked if trial.number in first), next(iter(self.ranked), None))


def view(study: optuna.Study, folder: Path) -> StudyView:
    """Read a study and what its folder holds; nothing is written.

    Raises:
        ConfigError: the study was not made by a sweep, or a file is damaged.
    """
    objectives, metric_set = objectives_of(study), metric_set_of(study)
    board = _board(folder / LEADERBOARD)
    reference = (board or _json(folder / SUMMARY) or {}).get("reference")
    return StudyView(
        study,
        folder,
        tuple(study.get_trials(deepcopy=False)),
        tuple(trial for trial in ranking(study) if trial.metrics and trial.state != TrialState.FAIL.name),
        objectives,
        metric_set,
        current_names(study.user_attrs).get(SCHEDULER_METRIC, next(iter(objectives[0].terms))),
        board,
        Reference.from_json(reference) if reference and "no_difference" in reference else None,
    )


def _board(file: Path) -> Board | None:
    """Return the leaderboard of a file; None where there is no file."""
    board: Board | None = _json(file)
    rows = board.get("rows") if isinstance(board, dict) else None
    complete = isinstance(rows, list) and all(isinstance(row, dict) and row.keys() >= ROW_KEYS for row in rows)
    if board is None or (complete and board.keys() >= BOARD_KEYS):
        return board
    raise ConfigError(
        f"{file}: expected a leaderboard with {', '.join(sorted(BOARD_KEYS))}, but its content is another; "
        "delete it and run the sweep's command again"
    )


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: not readable ({error}); delete it and run the sweep's command again") from None


def state_of(trial: FrozenTrial) -> str:
    """Return the state of a trial, one of `STATES`."""
    return INTERRUPTED if requeued(trial) else PRIOR_STATE if PRIOR in trial.user_attrs else trial.state.name


def trial_of(shown: StudyView, number: int) -> FrozenTrial:
    """Return a trial of the study by its number.

    Raises:
        ConfigError: there is no such trial.
    """
    known = f"0 to {len(shown.trials) - 1}" if shown.trials else "none yet"
    require(0 <= number < len(shown.trials), f"a trial of {shown.study.study_name} ({known})", f"trial {number}")
    return shown.trials[number]


def states(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Count the trials in each state; states without trials are left out."""
    counts = Counter(map(state_of, trials))
    return {state: counts[state] for state in STATES if counts[state]}


def times(trials: Sequence[FrozenTrial]) -> list[datetime]:
    """Return the times at which trials started and ended, in order."""
    both = (time for trial in trials for time in (trial.datetime_start, trial.datetime_complete))
    return sorted(time for time in both if time is not None)


def curve(trial: FrozenTrial, scheduler_metric: str) -> dict[int, float]:
    """Return the scheduler metric by epoch."""
    return dict(sorted(history(trial).items()))


def curves(shown: StudyView) -> Iterator[tuple[FrozenTrial, dict[int, float]]]:
    """Yield every trial with its curve; an interrupted one only until its successor has started."""
    running = [trial for trial in shown.trials if trial.state == TrialState.RUNNING]
    for trial in sorted([*shown_trials(shown.study), *running], key=lambda trial: trial.number):
        points = curve(trial, shown.scheduler_metric)
        if points:
            yield trial, points


def successor(trials: Sequence[FrozenTrial], number: int) -> FrozenTrial | None:
    """Return the trial that resumes another one; None if there is none."""
    return next((trial for trial in trials if resumed_from(trial) == number), None)


def lineage(trials: Sequence[FrozenTrial], number: int) -> list[int]:
    """Return the trials that a trial resumes, earliest first, the trial itself last."""
    return [*reversed(list(predecessors(trials, trials[number]))), number]


def manifest_of(study: optuna.Study, trial: FrozenTrial) -> dict[str, Any] | None:
    """Return the manifest of the process that trained a trial; None if there is none."""
    folder = trial_folder(study, trial)
    found: dict[str, Any] | None = _json(folder / MANIFEST) if folder else None
    return found


def evaluations(shown: StudyView, checkpoint: Path | None) -> dict[str, EvaluationResult]:
    """Return the stored evaluations of a checkpoint under the seeds of the leaderboard, by split.

    Raises:
        ConfigError, LedgerError: a damaged file.
    """
    if checkpoint is None or shown.board is None:
        return {}
    seeds = tuple(shown.board["noise_seeds"])
    try:
        evaluate_on_holdout = HoldoutEvaluation.of_checkpoint(checkpoint, seeds)
    except CheckpointError:
        return {}
    ledger = Ledger(shown.folder.parent / LEDGER, shown.board["holdout"]["budget"])
    archive = EvaluationArchive(shown.folder / EVALUATIONS, seeds)
    found = {VALIDATION: archive.find(checkpoint), HOLDOUT: ledger.find(evaluate_on_holdout)}
    return {split: evaluation for split, evaluation in found.items() if evaluation is not None}
