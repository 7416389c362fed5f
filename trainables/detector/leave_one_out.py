"""One detector per family of bots, trained without it and judged: the folds of `leave_one_out`, as a command.

    out_dir/
      FAMILY/               the training run of the detector that never met FAMILY, and its judgement.json
      leave_one_out.json    the table, with the settings and the hash of each detector's weights
      leave_one_out.md      the same to be read
      leave_one_out.png     the same to be seen

Every detector is judged as it is after its last epoch: the best one would be chosen by the very family that it is to
meet for the first time. A run that was cut goes on after its last epoch, and one that is whole is taken up as it is.
"""

import json
import sys
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from trainables.core.atomic_files import replace as write
from trainables.core.cli import Command, Request, run
from trainables.core.config import build, plain, require, require_member
from trainables.core.formatting import clock
from trainables.data.dataset import load_splits
from trainables.detector.api import load_trained_detector
from trainables.detector.bots import FAMILIES
from trainables.detector.config import DetectorConfig
from trainables.detector.evaluation.config import FiguresConfig
from trainables.detector.evaluation.evaluation_set import EvaluationSet, require_detector_split
from trainables.detector.evaluation.leave_one_out_matrix import LeaveOneOut
from trainables.detector.evaluation.report import DetectorJudgement
from trainables.detector.evaluation.tables import NONE, percent, share_text, show
from trainables.detector.train import epochs
from trainables.eval.detection.plots import caught_matrix
from trainables.training.checkpoint import load_record
from trainables.training.run_folder import CHECKPOINTS, LAST, opened, recording

TITLE = "# Families of bots left out of the training, one at a time"
HELD_OUT = "trainable.negatives.held_out"
ABOUT = """
Train one detector per family of simple bots, each without that family, and judge all of them on all families.

  python -m trainables.detector.leave_one_out
  python -m trainables.detector.leave_one_out bots=bots.parquet trainable.negatives.alpha=2 out_dir=results/alpha2
  python -m trainables.detector.leave_one_out families=[pid,noise] trainable.epochs=2 out_dir=results/two

The same command again goes on where it was cut, and takes up the detectors that are whole; another `trainable` takes
another out_dir.
"""


@dataclass(frozen=True)
class FoldsConfig:
    """Which families are left out, one at a time, and on whom the detectors are judged."""

    out_dir: str = "results/leave_one_out"
    families: tuple[str, ...] = tuple(FAMILIES)
    split: str = "test"
    bots: str = ""  # a table of recordings of bots: style, trajectory_id, t_ms, x, y
    seed: int = 7  # of the bots
    figures: FiguresConfig = field(default_factory=FiguresConfig)

    def __post_init__(self) -> None:
        require(bool(self.families), "`families >= 1`", "0", f"take some of {', '.join(FAMILIES)}")
        for family in self.families:
            require_member("families", family, FAMILIES)
        once = len(set(self.families)) == len(self.families)
        require(once, "`families` to name each family once", ", ".join(self.families))
        require_detector_split(self.split)


COMMAND: Command = Command(
    module="trainables.detector.leave_one_out",
    config_name="detector/leave_one_out",
    about=ABOUT,
    schemas={
        "detector/leave_one_out_schema": plain(FoldsConfig()),
        "trainable/detector_schema": plain(DetectorConfig()),
    },
)


def main(request: Request) -> int:
    """Train and judge a detector per family, write the table, print it."""
    console, (config, trainable) = Console(), configs(request)
    met = EvaluationSet.of(
        load_splits(trainable.data), config.split, trainable.data.canonical, config.seed, config.bots
    )
    table = LeaveOneOut.of(judged_folds(config, trainable, met, console))
    write_table(table, config, trainable)
    show(console, table.sheets())
    console.print(f"table, picture and detectors: {Path(config.out_dir).resolve()}", highlight=False, soft_wrap=True)
    return 0


def configs(request: Request) -> tuple[FoldsConfig, DetectorConfig]:
    """The settings of the folds, and those that all detectors share.

    Raises:
        ConfigError: a value that breaks a law, or families held out by hand.
    """
    trainable = build(DetectorConfig, request.config["trainable"], at="trainable")
    config = build(FoldsConfig, {key: value for key, value in request.config.items() if key != "trainable"})
    require(
        HELD_OUT not in request.given, f"`{HELD_OUT}` to be left to this command", "it", "name them as families=[...]"
    )
    return config, trainable


def judged_folds(
    config: FoldsConfig, trainable: DetectorConfig, met: EvaluationSet, console: Console
) -> dict[str, DetectorJudgement]:
    """Family left out -> judgement of the detector without it; tells each as it comes, with the time left."""
    judgements, spent_s, columns = {}, list[float](), (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, MofNCompleteColumn(), TextColumn("epochs"), console=console, transient=True) as progress:
        for number, family in enumerate(config.families, start=1):
            began, fold, trained = time.monotonic(), without(family, trainable), 0
            bar = progress.add_task(f"{number}/{len(config.families)} without {family}", total=fold.epochs)
            for epoch in train(fold, folder_of(config, family)):
                progress.update(bar, completed=epoch)
                trained += epoch > 0
            judgements[family] = judge(fold, folder_of(config, family), met, config.figures)
            progress.remove_task(bar)
            spent_s += [time.monotonic() - began] * bool(trained)
            left = clock(sum(spent_s) / len(spent_s) * (len(config.families) - number)) if spent_s else NONE
            told = f"{number}/{len(config.families)}  {_found(family, judgements[family])}, {trained} epochs trained"
            console.print(f"{told}, {left} left", highlight=False, soft_wrap=True)
    return judgements


def without(family: str, trainable: DetectorConfig) -> DetectorConfig:
    """The same training, with that family alone held out."""
    return replace(trainable, negatives=replace(trainable.negatives, held_out=(family,)))


def folder_of(config: FoldsConfig, family: str) -> Path:
    """Of a fold's run."""
    return Path(config.out_dir) / family


def train(config: DetectorConfig, path: Path) -> Generator[int, None, None]:
    """Train up to the last epoch, from wherever the folder has got to; yields the numbers of the epochs.

    Raises:
        ConfigError: the folder holds another run, or is in use.
        CheckpointError: what it holds was trained on other data.
    """
    with opened(path, "detector", config) as folder, recording(folder) as record:
        for epoch in epochs(config, resume=folder.last):
            record(epoch)
            yield epoch.number


def judge(config: DetectorConfig, path: Path, met: EvaluationSet, figures: FiguresConfig) -> DetectorJudgement:
    """The judgement of a trained fold, written beside its run."""
    detector = load_trained_detector(last_checkpoint(path))
    judgement = met.judgement(detector, config.negatives, figures)
    write(path / "judgement.json", _json(judgement.to_json()))
    return judgement


def last_checkpoint(path: Path) -> Path:
    """Of a run's last epoch."""
    return path / CHECKPOINTS / LAST


def write_table(table: LeaveOneOut, config: FoldsConfig, trainable: DetectorConfig) -> None:
    """As JSON with what it was made of, as a page and as a picture."""
    folder = Path(config.out_dir)
    weights = {f: load_record(last_checkpoint(folder_of(config, f)))["weights_sha256"] for f in config.families}
    made_of = {"settings": plain(config), "trainable": plain(trainable), "weights_sha256": weights}
    write(folder / "leave_one_out.json", _json({"table": table.to_json(), **made_of}))
    page = (TITLE, _told_of(table, config, trainable), *(sheet.markdown().strip() for sheet in table.sheets()))
    write(folder / "leave_one_out.md", "\n\n".join(page) + "\n")
    caught_matrix(table.matrix, table.families, table.fpr, folder / "leave_one_out.png")


def _told_of(table: LeaveOneOut, config: FoldsConfig, trainable: DetectorConfig) -> str:
    """What the figures are of."""
    return (
        f"Each detector was trained for {trainable.epochs} epochs without one family of bots, its threshold fixed for "
        f"{percent(table.fpr)} FPR on validation people, and judged on bots under the conditions of "
        f"{table.unseen[0].figures.people} movements of {config.split} people whom it had not met."
    )


def _found(family: str, judgement: DetectorJudgement) -> str:
    """`without pid: 0.71 (0.60-0.80) of it caught at 1 % FPR`."""
    row = next(row for row in judgement.families if row.name == family)
    caught, rate = share_text(row.caught[0]), percent(judgement.thresholds[0].target_fpr)
    return f"without {family}: {caught} of it caught at {rate} FPR"


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
