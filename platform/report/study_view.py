"""What a study and its folder hold for those who read them: states, curves, judgements, leaderboard, lineage."""

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
from platform.leaderboard.holdout_ledger import HOLDOUT, LEDGER, HoldoutEvaluation, Ledger
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
from platform.study.resume import FOLDER, METRICS, history, last_epoch, predecessors, requeued, resumed_from
from trainables.core.config import ConfigError, require
from trainables.eval.two_sample.null_band import NullBand
from trainables.metric_registry import offset, shown_as
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint_record import CheckpointError
from trainables.training.manifest import MANIFEST
from trainables.training.metric import MetricSet

SUMMARY = "summary.json"
REPORT = "report.html"
WORDS = {
    TrialState.COMPLETE.name: "full",
    TrialState.PRUNED.name: "stopped",
    TrialState.FAIL.name: "failed",
    INTERRUPTED: "cut",
    TrialState.RUNNING.name: "running",
    TrialState.WAITING.name: "waiting",
}
"""How a trial ended: at its last epoch, by the scheduler, by a fault, by no fault of its own; in a table's order."""

Board = Mapping[str, Any]


@dataclass(frozen=True)
class View:
    """A study as its readers see it.

    Attributes:
        trials: All of them, by number.
        judged: Those that have a result, failed ones left out, best first.
        objectives: What is optimised.
        metric_set: What its kind of trainable is judged by.
        rung: The metric of the intermediate values.
        board: The leaderboard's file; None before the first.
        floor: Headline of real halves against each other; None before the first summary, and where there is none.
        people: Headline of training people against held-out ones.
    """

    study: optuna.Study
    folder: Path
    trials: tuple[FrozenTrial, ...]
    evaluated: tuple[RankedTrial, ...]
    objectives: tuple[Objective, ...]
    metric_set: MetricSet
    scheduler_metric: str
    board: Board | None
    floor: NullBand | None
    people: float | None

    @property
    def best(self) -> RankedTrial | None:
        """The leaderboard's first trial; before there is one the first of the ranking."""
        first = {row["trial"] for row in (self.board or {}).get("rows", [])[:1]}
        return next((trial for trial in self.evaluated if trial.number in first), next(iter(self.evaluated), None))


def view(study: optuna.Study, folder: Path) -> View:
    """Read a study and what its folder holds; nothing is written.

    Args:

    Raises:
        ConfigError: a study that no sweep has made, or a damaged file.
    """
    objectives, metric_set = objectives_of(study), metric_set_of(study)
    board = _json(folder / LEADERBOARD)
    reference = board or (_json(folder / SUMMARY) or {}).get("reference", {})
    floor = reference.get("floor")
    return View(
        study,
        folder,
        tuple(study.get_trials(deepcopy=False)),
        tuple(trial for trial in ranking(study) if trial.metrics and trial.state != TrialState.FAIL.name),
        objectives,
        metric_set,
        current_names(study.user_attrs).get(SCHEDULER_METRIC, next(iter(objectives[0].terms))),
        board,
        NullBand(**floor) if floor else None,
        reference.get("people", reference.get("training_people")),
    )


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: not readable ({error}); delete it and run the sweep's command again") from None


def state_of(trial: FrozenTrial) -> str:
    """The state of a trial in a word of `WORDS`."""
    return WORDS[INTERRUPTED if requeued(trial) else trial.state.name]


def trial_of(shown: View, number: int) -> FrozenTrial:
    """A trial of the study by its number.

    Raises:
        ConfigError: there is none.
    """
    known = f"0 to {len(shown.trials) - 1}" if shown.trials else "none yet"
    require(0 <= number < len(shown.trials), f"a trial of {shown.study.study_name} ({known})", f"trial {number}")
    return shown.trials[number]


def states(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """How many trials are in each state; states that none is in are left out."""
    counts = Counter(map(state_of, trials))
    return {word: counts[word] for word in WORDS.values() if counts[word]}


def times(trials: Sequence[FrozenTrial]) -> list[datetime]:
    """When trials began and ended, in order."""
    both = (time for trial in trials for time in (trial.datetime_start, trial.datetime_complete))
    return sorted(time for time in both if time is not None)


def curve(trial: FrozenTrial, scheduler_metric: str) -> dict[int, float]:
    """The metric of the rungs by epoch, as it is shown: C2ST where its excess was reported.

    The excess is 0 for all that is below one half, so that such an epoch stands at 0.5; the last one is known as it is.
    """
    points = {epoch: value + offset(scheduler_metric) for epoch, value in sorted(history(trial).items())}
    raw = trial.user_attrs.get(METRICS, {}).get(shown_as(scheduler_metric))
    last = last_epoch(trial)
    return points | ({last: raw} if last is not None and raw is not None else {})


def curves(shown: View) -> Iterator[tuple[FrozenTrial, dict[int, float]]]:
    """Every trial with its curve, a cut one only until its successor has taken its history over."""
    running = [trial for trial in shown.trials if trial.state == TrialState.RUNNING]
    for trial in sorted([*shown_trials(shown.study), *running], key=lambda trial: trial.number):
        points = curve(trial, shown.scheduler_metric)
        if points:
            yield trial, points


def successor(trials: Sequence[FrozenTrial], number: int) -> FrozenTrial | None:
    """The trial that goes on from another one."""
    return next((trial for trial in trials if resumed_from(trial) == number), None)


def lineage(trials: Sequence[FrozenTrial], number: int) -> list[int]:
    """The trials that a trial goes on from, the first of them first, the trial itself last."""
    return [*reversed(list(predecessors(trials, trials[number]))), number]


def manifest_of(trial: FrozenTrial) -> dict[str, Any] | None:
    """What was written down of the process that trained; None where nothing was."""
    folder = trial.user_attrs.get(FOLDER)
    found: dict[str, Any] | None = _json(Path(folder) / MANIFEST) if folder else None
    return found


def evaluations(shown: View, checkpoint: Path | None) -> dict[str, EvaluationResult]:
    """Split -> the judgement of a checkpoint under the leaderboard's noise, as far as it is kept.

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
