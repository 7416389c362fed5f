"""End a sweep: re-evaluate the finalists, print tables, write plots and `summary.json`, and name the next command."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from rich.console import Console

from platform.leaderboard.archive import LEADERBOARD
from platform.leaderboard.leaderboard import Leaderboard, leaderboard, to_json, write_leaderboard
from platform.leaderboard.model_types import MODEL_FUNCTIONS
from platform.leaderboard.reference import Reference
from platform.report.artifacts import upload_pictures
from platform.report.html import write_report
from platform.report.learning_curves import plot_learning_curves
from platform.report.study_view import REPORT
from platform.report.tables import headline_at, print_failures, print_leaderboard, print_ranking, print_worth
from platform.study.ranking import RankedTrial, ranking
from platform.study.storage import JOURNAL, redact_password
from platform.study.sweep import Sweep
from trainables.core import atomic_files
from trainables.core.config import build
from trainables.core.formatting import interpreter
from trainables.specs import TRAINABLES
from trainables.training.run_folder import EVENTS

LEARNING_CURVES = "learning_curves.png"


def summarise(console: Console, sweep: Sweep, study: optuna.Study) -> int:
    """Re-evaluate the finalists, print and write the results of all trials; 1 if none has a result, or a part failed.

    Leaves `leaderboard.json`, `summary.json` and pictures in the study's folder. The best trial is the first of the
    leaderboard; without one (no checkpoint, `finalists.top=0`, a trainable without re-evaluation) that of the
    ranking.
    """
    ranked = ranking(study)
    print_failures(console, ranked)
    trials = [trial for trial in ranked if trial.metrics and trial.state != "FAIL"]
    if not trials:
        console.print("no trial has a result yet", style="red")
        return 1
    print_ranking(console, trials, sweep.metric_set)
    sweep.settings.folder.mkdir(parents=True, exist_ok=True)
    best, evaluated, part = trials[0], dict[str, Any](), Parts(console)
    if TRAINABLES[sweep.space.trainable].model_type.name in MODEL_FUNCTIONS:
        with part(LEADERBOARD):
            best, evaluated = _re_evaluate(console, sweep, study, trials, part)
    with part("summary.json"):
        _write(sweep, best, trials, evaluated)
    with part(REPORT):
        write_report(study, sweep.settings.folder)
    _print_next(console, sweep, best)
    return 1 if part.failed else 0


class Parts:
    """The parts of a summary: where one raises an error, the others are still written."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.failed: list[str] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Print the error of a part in one line, whatever it is; the same command writes the part again."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # trials of hours are behind it, and other parts do not need this one
            self.failed.append(name)
            text = " ".join(str(error).split()) or type(error).__name__
            self.console.print(
                f"{name} was not written: {text}; run the same command again, which trains nothing anew",
                style="red",
                highlight=False,
                soft_wrap=True,
            )


def _re_evaluate(
    console: Console, sweep: Sweep, study: optuna.Study, trials: Sequence[RankedTrial], part: Parts
) -> tuple[RankedTrial, dict[str, Any]]:
    """Return the best trial, and the part of `summary.json` about finalists and real movements."""
    config, functions = _config(sweep), MODEL_FUNCTIONS[TRAINABLES[sweep.space.trainable].model_type.name]
    reference = functions.reference(config) if functions.reference else None
    board = leaderboard(console, sweep, study, trials)
    best = board.rows[0].trial if board.rows else trials[0]
    write_leaderboard(board, sweep.settings.folder, sweep.settings.study_name, reference)
    print_leaderboard(console, board)
    print_worth(console, sweep.goal, board, best, reference)
    with part("pictures"):
        _plot(sweep, board, best, [best, *(trial for trial in trials if trial is not best)], reference)
        upload_pictures(study, best.number, sweep.settings.folder, of_study=(LEARNING_CURVES,))
    rows = to_json(board, sweep.settings.study_name, reference, sweep.settings.folder)["rows"]
    scores = {"reference": reference.to_json()} if reference else {}
    return best, {**scores, "leaderboard": rows}


def _config(sweep: Sweep) -> Any:
    return build(TRAINABLES[sweep.space.trainable].config, sweep.trainable, at="trainable")


def _plot(
    sweep: Sweep, board: Leaderboard, best: RankedTrial, trials: list[RankedTrial], reference: Reference | None
) -> None:
    """Plot learning curves where the scheduler compares the headline, and what the model type has of the best trial."""
    pictures, metric_set, metric = sweep.settings.folder / "pictures", sweep.metric_set, sweep.goal.scheduler_metric
    pictures.mkdir(parents=True, exist_ok=True)
    if metric == metric_set.headline:
        band = reference.no_difference if reference else None
        plot_learning_curves(trials, metric, metric_set, band, pictures / LEARNING_CURVES)
    if best.checkpoint is not None and best.number not in board.left_out:
        evaluated = next((row.validation for row in board.rows if row.trial.number == best.number), None)
        MODEL_FUNCTIONS[TRAINABLES[sweep.space.trainable].model_type.name].plot(
            best.checkpoint, _config(sweep), evaluated, pictures
        )


def _write(sweep: Sweep, best: RankedTrial, trials: Sequence[RankedTrial], evaluated: dict[str, Any]) -> None:
    scheduler_metric, metric_set = sweep.goal.scheduler_metric, sweep.metric_set
    summary = {
        "study": sweep.settings.study_name,
        "best": {
            "trial": best.number,
            "params": best.params,
            "metrics": best.metrics,
            "checkpoint": None if best.checkpoint is None else str(best.checkpoint),
        },
        "untrained": headline_at(best, 0, scheduler_metric, metric_set),
        "one_epoch": headline_at(best, 1, scheduler_metric, metric_set),
        "trials": [
            {"trial": t.number, "state": t.state, "epoch": t.epoch, "params": t.params, "metrics": t.metrics}
            for t in trials
        ],
        **evaluated,
    }
    atomic_files.write_atomically(
        sweep.settings.folder / "summary.json", json.dumps(summary, indent=1, sort_keys=True) + "\n"
    )


def _print_next(console: Console, sweep: Sweep, best: RankedTrial) -> None:
    folder = sweep.settings.folder
    lines = {
        "checkpoint": str(best.checkpoint or "none: the best trial was pruned before its first"),
        "report": str(folder / REPORT),
        "pictures": str(folder / "pictures"),
        "TensorBoard": f"make tensorboard LOGDIR={folder / EVENTS}",
        "numbers": str(folder / "summary.json"),
        "study": redact_password(sweep.settings.storage) or str(folder / JOURNAL),
    }
    console.print("Where", style="bold")
    for name, value in lines.items():
        console.print(f"  {name:<12} {value}", highlight=False, soft_wrap=True)
    if best.checkpoint is None:
        return
    console.print("Next", style="bold")
    settings = sweep.settings
    for command in (
        f"{sweep.metric_set.evaluate_command} ckpt={best.checkpoint} out_dir={folder / 'evaluation'}",
        f"platform.promote study_name={settings.study_name} storage_path={settings.storage_path}",
    ):
        console.print(f"  {interpreter()} -m {command}", highlight=False, soft_wrap=True)
