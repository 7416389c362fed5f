"""The end of a sweep: the finalists judged again, tables, pictures, `summary.json`, and the next command."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console
from sqlalchemy.engine import make_url

from platform.leaderboard import Leaderboard, Reference, leaderboard, to_json, write
from platform.pictures import learning_curves
from platform.ranking import Ranked, ranking
from platform.report import REPORT, write_report
from platform.settings import Sweep
from platform.standings import c2st_at, print_failures, print_leaderboard, print_ranking, print_worth
from platform.storage import JOURNAL
from trainables import durable, generators
from trainables.config import build
from trainables.data.canonical import reobserve
from trainables.data.dataset import DataParts
from trainables.eval.pictures import gallery, overlays
from trainables.eval.validation import Validator
from trainables.names import VAL_C2ST_EXCESS
from trainables.progress import interpreter
from trainables.session import TRAINABLES


def summarise(console: Console, sweep: Sweep, study: optuna.Study, data: DataParts) -> int:
    """Judge the finalists again, print what came of all trials, and write it down; 1 if none has a result, else 0.

    Leaves `leaderboard.json`, `summary.json` and pictures in the study's folder. The best trial is the first of the
    leaderboard; without one (no checkpoint, `finalists.top=0`, a trainable that generates nothing) that of the ranking.
    """
    ranked = ranking(study, sweep.space.tie_breaker)
    print_failures(console, ranked)
    trials = [trial for trial in ranked if trial.metrics and trial.state != "FAIL"]
    if not trials:
        console.print("no trial has a result yet", style="red")
        return 1
    print_ranking(console, trials)
    sweep.settings.folder.mkdir(parents=True, exist_ok=True)
    best, judged = trials[0], dict[str, Any]()
    if sweep.space.trainable in generators.LOADERS:
        best, judged = _judge_again(console, sweep, study, trials, data)
    _write(sweep, best, trials, judged)
    write_report(study, sweep.settings.folder, sweep.space.tie_breaker)
    _print_next(console, sweep, best)
    return 0


def _judge_again(
    console: Console, sweep: Sweep, study: optuna.Study, trials: Sequence[Ranked], data: DataParts
) -> tuple[Ranked, dict[str, Any]]:
    """The best trial, and what `summary.json` says of the finalists and of people."""
    config = build(TRAINABLES[sweep.space.trainable].config, sweep.trainable, at="trainable")
    validator = Validator.fit(data["validation"], data["train"], config.data.canonical, config.evaluation)
    reference = Reference(validator.floor(), validator.against(data["train"]))
    board = leaderboard(console, sweep, study, trials)
    best = board.rows[0].trial if board.rows else trials[0]
    write(board, sweep.settings.folder, sweep.settings.study_name, reference)
    print_leaderboard(console, board)
    print_worth(console, sweep.goal, board, best, reference)
    _draw(sweep, board, best, [best, *(trial for trial in trials if trial is not best)], validator, reference)
    rows = to_json(board, sweep.settings.study_name, reference)["rows"]
    people = {"floor": vars(reference.floor), "training_people": reference.people}
    return best, {"reference": people, "leaderboard": rows}


def _draw(
    sweep: Sweep, board: Leaderboard, best: Ranked, trials: list[Ranked], validator: Validator, reference: Reference
) -> None:
    """Learning curves where the rungs tell the C2ST; gallery and overlays of the best trial's samples."""
    pictures = sweep.settings.folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    if sweep.goal.rung == VAL_C2ST_EXCESS:
        learning_curves(trials, reference.floor, pictures / "learning_curves.png")
    if best.checkpoint is not None and best.number not in board.left_out:
        _draw_samples(best.checkpoint, validator, pictures)


def _draw_samples(checkpoint: Path, validator: Validator, pictures: Path) -> None:
    """Made as they were judged in training."""
    samples = generators.load(checkpoint).like(validator.asked, seed=validator.config.seed)
    observed, rows = reobserve(samples, validator.canonical)
    gallery(validator.observed.take(rows), observed, pictures / "gallery.png")
    overlays(validator.observed, observed, pictures / "features.png")


def _write(sweep: Sweep, best: Ranked, trials: Sequence[Ranked], judged: dict[str, Any]) -> None:
    rung = sweep.goal.rung
    summary = {
        "study": sweep.settings.study_name,
        "best": {
            "trial": best.number,
            "params": best.params,
            "metrics": best.metrics,
            "checkpoint": None if best.checkpoint is None else str(best.checkpoint),
        },
        "untrained": c2st_at(best, 0, rung),
        "one_epoch": c2st_at(best, 1, rung),
        "trials": [
            {"trial": t.number, "state": t.state, "epoch": t.epoch, "params": t.params, "metrics": t.metrics}
            for t in trials
        ],
        **judged,
    }
    durable.replace(sweep.settings.folder / "summary.json", json.dumps(summary, indent=1, sort_keys=True) + "\n")


def _print_next(console: Console, sweep: Sweep, best: Ranked) -> None:
    folder = sweep.settings.folder
    lines = {
        "checkpoint": str(best.checkpoint or "none: the best trial was stopped before its first"),
        "report": str(folder / REPORT),
        "pictures": str(folder / "pictures"),
        "TensorBoard": f"make tensorboard LOGDIR={folder / 'tensorboard'}",
        "numbers": str(folder / "summary.json"),
        "study": str(make_url(sweep.settings.storage) if sweep.settings.storage else folder / JOURNAL),  # no password
    }
    console.print("Where", style="bold")
    for name, value in lines.items():
        console.print(f"  {name:<12} {value}", highlight=False, soft_wrap=True)
    if best.checkpoint is None:
        return
    console.print("Next", style="bold")
    settings = sweep.settings
    for command in (
        f"platform.evaluate ckpt={best.checkpoint} out_dir={folder / 'evaluation'}",
        f"platform.promote study_name={settings.study_name} storage_path={settings.storage_path}",
    ):
        console.print(f"  {interpreter()} -m {command}", highlight=False, soft_wrap=True)
