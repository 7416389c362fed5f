"""Train and evaluate one detector per family of bots, each without that family: the folds of `leave_one_out_matrix`.

An agent is one more family if a checkpoint of one is given: all other detectors are trained on its movements too.

    out_dir/
      FAMILY/               training run of the detector without FAMILY, and its evaluation.json
      leave_one_out.json    the table, with the configuration and the hash of each detector's weights
      leave_one_out.md      the table in Markdown
      leave_one_out.png     the table as a plot

Every detector is evaluated after its last epoch: the best epoch would be selected by the very family that was left out.
An interrupted run resumes after its last epoch, and a complete one is used as it is.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from trainables.core.atomic_files import write_atomically as write
from trainables.core.config import plain
from trainables.core.formatting import clock
from trainables.data.splits.loading import load_splits
from trainables.detector.api import load_trained_detector
from trainables.detector.config import FAMILY_NAMES, DetectorConfig
from trainables.detector.dataset.agent_bots import AGENT
from trainables.detector.evaluation.config import DetectorReportConfig, FoldsConfig
from trainables.detector.evaluation.evaluation_set import EvaluationSet
from trainables.detector.evaluation.leave_one_out_matrix import LeaveOneOut
from trainables.detector.evaluation.report import DetectorEvaluation
from trainables.detector.evaluation.tables import NONE, percent, rate_text, show
from trainables.detector.spec import SPEC
from trainables.eval.detection.plots import plot_detection_matrix
from trainables.training.checkpoint import load_record
from trainables.training.metric_names import EPOCH
from trainables.training.run_folder import CHECKPOINTS, LAST, remaining_epochs

TITLE = "# Leave-one-family-out"


def leave_one_out(config: FoldsConfig, trainable: DetectorConfig) -> int:
    """Train and evaluate a detector per family, write the table, print it; returns the exit code."""
    console = Console()
    trainable = with_agent(trainable, config.agent_checkpoint)
    form, files = trainable.data.canonical, {"bots": config.bots, "agent": config.agent_checkpoint}
    evaluation_set = EvaluationSet.of(load_splits(trainable.data), config.split, form, config.seed, **files)
    table = LeaveOneOut.of(evaluate_folds(config, trainable, evaluation_set, console))
    write_table(table, config, trainable)
    show(console, table.tables())
    console.print(f"table, plot and detectors: {Path(config.out_dir).resolve()}", highlight=False, soft_wrap=True)
    return 0


def evaluate_folds(
    config: FoldsConfig, trainable: DetectorConfig, evaluation_set: EvaluationSet, console: Console
) -> dict[str, DetectorEvaluation]:
    """Return the evaluation of the detector without each family; prints each when it is complete, and the time left."""
    evaluations, spent_s, columns = {}, list[float](), (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, MofNCompleteColumn(), TextColumn("epochs"), console=console, transient=True) as progress:
        for number, family in enumerate(config.folds, start=1):
            began, fold, trained = time.monotonic(), without(family, trainable), 0
            bar = progress.add_task(f"{number}/{len(config.folds)} without {family}", total=fold.epochs)
            for line in remaining_epochs(folder_of(config, family), SPEC, fold):
                progress.update(bar, completed=line[EPOCH])
                trained += line[EPOCH] > 0
            evaluations[family] = evaluate(fold, folder_of(config, family), evaluation_set, config.report)
            progress.remove_task(bar)
            spent_s += [time.monotonic() - began] * bool(trained)
            left = clock(sum(spent_s) / len(spent_s) * (len(config.folds) - number)) if spent_s else NONE
            result = f"{number}/{len(config.folds)}  {_result(family, evaluations[family])}"
            console.print(f"{result}, {trained} epochs trained, {left} left", highlight=False, soft_wrap=True)
    return evaluations


def without(family: str, trainable: DetectorConfig) -> DetectorConfig:
    """Return the training configuration with that family alone held out."""
    held_out = {"agent": 0.0, "agent_checkpoint": "", "held_out": ()} if family == AGENT else {"held_out": (family,)}
    return replace(trainable, negatives=replace(trainable.negatives, **held_out))


def with_agent(trainable: DetectorConfig, checkpoint: str) -> DetectorConfig:
    """Return the training configuration with the share of one scripted family for an agent, if there is one."""
    if not checkpoint:
        return trainable
    share, folder = trainable.negatives.bots / len(FAMILY_NAMES), str(Path(checkpoint).expanduser())
    return replace(trainable, negatives=replace(trainable.negatives, agent=share, agent_checkpoint=folder))


def folder_of(config: FoldsConfig, family: str) -> Path:
    """Return the folder of a fold's run."""
    return Path(config.out_dir) / family


def evaluate(
    config: DetectorConfig, path: Path, evaluation_set: EvaluationSet, metrics: DetectorReportConfig
) -> DetectorEvaluation:
    """Evaluate the detector of a fold and write the evaluation beside its run."""
    detector = load_trained_detector(last_checkpoint(path))
    evaluation = evaluation_set.evaluate(detector, config.negatives, metrics)
    write(path / "evaluation.json", _json(evaluation.to_json()))
    return evaluation


def last_checkpoint(path: Path) -> Path:
    """Return the checkpoint of a run's last epoch."""
    return path / CHECKPOINTS / LAST


def write_table(table: LeaveOneOut, config: FoldsConfig, trainable: DetectorConfig) -> None:
    """Write the table as JSON with its configuration, as Markdown and as a plot."""
    folder = Path(config.out_dir)
    weights = {f: load_record(last_checkpoint(folder_of(config, f)))["weights_sha256"] for f in config.folds}
    made_of = {"settings": plain(config), "trainable": plain(trainable), "weights_sha256": weights}
    write(folder / "leave_one_out.json", _json({"table": table.to_json(), **made_of}))
    page = (TITLE, _description(table, config, trainable), *(table.markdown().strip() for table in table.tables()))
    write(folder / "leave_one_out.md", "\n\n".join(page) + "\n")
    plot_detection_matrix(table.matrix, table.families, table.fpr, folder / "leave_one_out.png")


def _description(table: LeaveOneOut, config: FoldsConfig, trainable: DetectorConfig) -> str:
    """Return a paragraph on the detectors and the data."""
    return (
        f"Each detector was trained for {trainable.epochs} epochs without one family of bots, its threshold fitted at "
        f"{percent(table.fpr)} FPR on validation users, and evaluated on bots under the conditions of "
        f"{table.unseen[0].metrics.humans} movements of users of the {config.split} split."
    )


def _result(family: str, evaluation: DetectorEvaluation) -> str:
    """Return `without pid: TPR 0.71 [0.60, 0.80] at 1 % FPR`."""
    row = next(row for row in evaluation.families if row.name == family)
    return f"without {family}: TPR {rate_text(row.detected[0])} at {percent(evaluation.thresholds[0].target_fpr)} FPR"


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
