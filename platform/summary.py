"""The end of a sweep: ranking, what the best trial is worth, pictures, and the next command."""

import json
from dataclasses import dataclass
from pathlib import Path

import optuna
from rich.console import Console
from rich.table import Table

from platform.pictures import learning_curves
from platform.progress import describe
from platform.settings import Sweep
from platform.study import Ranked, ranking
from trainables import generators
from trainables.config import build
from trainables.data.canonical import reobserve
from trainables.data.dataset import DataParts
from trainables.eval.metrics import NullBand
from trainables.eval.pictures import gallery, overlays
from trainables.eval.validation import Validator
from trainables.names import VAL_C2ST, VAL_MMD
from trainables.progress import interpreter, number
from trainables.session import TRAINABLES

SHOWN = 10


@dataclass(frozen=True)
class Reference:
    """What real people score under the same probe, folds and rows.

    Attributes:
        floor: Random halves of the validation people against each other.
        people: Training people against validation people: what a perfect copy of the training part would score.
    """

    floor: NullBand
    people: float


def summarise(console: Console, sweep: Sweep, study: optuna.Study, data: DataParts) -> int:
    """Print the ranking and write `summary.json` and the pictures; 1 if no trial has a result, else 0."""
    ranked = ranking(study, sweep.space.tie_breaker)
    _print_failures(console, ranked)
    with_result = [trial for trial in ranked if trial.metrics and trial.state != "FAIL"]
    if not with_result:
        console.print("no trial has a result yet", style="red")
        return 1
    best = with_result[0]
    config = build(TRAINABLES[sweep.space.trainable].config, sweep.trainable, at="trainable")
    validator = Validator.fit(data["validation"], data["train"], config.data.canonical, config.evaluation)
    reference = Reference(validator.floor(), validator.against(data["train"]))
    _print_ranking(console, with_result)
    _print_worth(console, best, reference)
    pictures = sweep.settings.folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    learning_curves(with_result, reference.floor, pictures / "learning_curves.png")
    if best.checkpoint is not None:
        _draw_samples(best.checkpoint, validator, pictures)
    _write(sweep, best, with_result, reference)
    _print_next(console, sweep, best)
    return 0


def _print_failures(console: Console, ranked: list[Ranked]) -> None:
    for trial in ranked:
        if trial.state == "FAIL":
            console.print(f"trial {trial.number} failed: {trial.reason}", style="red", highlight=False)


def _print_ranking(console: Console, trials: list[Ranked]) -> None:
    table = Table(title="Ranking", title_justify="left", box=None, pad_edge=False)
    for column in ("rank", "trial", "epochs", "C2ST", "MMD", "ended"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("parameters")
    for rank, trial in enumerate(trials[:SHOWN], start=1):
        c2st, mmd = (number(trial.metrics.get(name), digits) for name, digits in ((VAL_C2ST, 3), (VAL_MMD, 4)))
        ended = {"COMPLETE": "full", "PRUNED": "stopped"}[trial.state]
        table.add_row(
            str(rank),
            str(trial.number),
            str(trial.epoch),
            c2st,
            mmd,
            ended,
            describe(dict(trial.params)),
            style="bold" if rank == 1 else None,
        )
    console.print(table)


def c2st_at(trial: Ranked, epoch: int) -> float | None:
    """C2ST of a trial after an epoch, from its intermediate values (which hold the excess over one half)."""
    return 0.5 + trial.history[epoch] if epoch in trial.history else None


def _print_worth(console: Console, best: Ranked, reference: Reference) -> None:
    table = Table(
        title="C2ST on held-out people (0.5: cannot be told apart)", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("against real movements of the validation part")
    table.add_column("C2ST", justify="right")
    floor = reference.floor
    rows = [
        ("untrained model", number(c2st_at(best, 0))),
        ("after 1 epoch", number(c2st_at(best, 1))),
        (f"best trial, after {best.epoch} epochs", number(best.metrics.get(VAL_C2ST))),
        ("real movements of the training people", number(reference.people)),
        (
            "real movements of the same people (floor)",
            f"{floor.mean:.3f} (95 % band {floor.low:.3f} to {floor.high:.3f})",
        ),
    ]
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _draw_samples(checkpoint: Path, validator: Validator, pictures: Path) -> None:
    """Gallery and overlays of the best trial's samples, made as they were judged."""
    samples = generators.load(checkpoint).like(validator.asked, seed=validator.config.seed)
    observed, rows = reobserve(samples, validator.canonical)
    gallery(validator.observed.take(rows), observed, pictures / "gallery.png")
    overlays(validator.observed, observed, pictures / "features.png")


def _write(sweep: Sweep, best: Ranked, trials: list[Ranked], reference: Reference) -> None:
    summary = {
        "study": sweep.settings.study_name,
        "best": {
            "trial": best.number,
            "params": best.params,
            "metrics": best.metrics,
            "checkpoint": None if best.checkpoint is None else str(best.checkpoint),
        },
        "reference": {"floor": vars(reference.floor), "training_people": reference.people},
        "untrained": c2st_at(best, 0),
        "one_epoch": c2st_at(best, 1),
        "trials": [
            {"trial": t.number, "state": t.state, "epoch": t.epoch, "params": t.params, "metrics": t.metrics}
            for t in trials
        ],
    }
    (sweep.settings.folder / "summary.json").write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n")


def _print_next(console: Console, sweep: Sweep, best: Ranked) -> None:
    folder = sweep.settings.folder
    lines = {
        "checkpoint": str(best.checkpoint or "none: the best trial was stopped before its first"),
        "pictures": str(folder / "pictures"),
        "TensorBoard": f"make tensorboard LOGDIR={folder / 'tensorboard'}",
        "numbers": str(folder / "summary.json"),
        "study": str(folder / "study.journal"),
    }
    console.print("Where", style="bold")
    for name, value in lines.items():
        console.print(f"  {name:<12} {value}", highlight=False, soft_wrap=True)
    if best.checkpoint is None:
        return
    console.print("Next", style="bold")
    command = f"{interpreter()} -m platform.evaluate ckpt={best.checkpoint} out_dir={folder / 'evaluation'}"
    console.print(f"  {command}", highlight=False, soft_wrap=True)
