"""Leave one source out: train a model without the recordings of a source, and evaluate it on the users of that source.

Sources of one laboratory count as one, since a user may have taken part in several of its experiments. There is a model
per laboratory with evaluated users, trained under the configuration of a checkpoint on the recordings of all others.
The checkpoint itself, which was trained on all, is evaluated beside it on the same movements:

    generator   excess over the floor of the users of the source left out; its samples are of no known source
    detector    FPR of these users, and share of missed bots under their conditions, at the threshold of the
                validation users of the model's own training

    out_dir/
      SOURCE/                         training run of the model without SOURCE
      leave_one_source_out.json       metrics with intervals over users, configuration, hashes of the weights
      leave_one_source_out.md         the table

An interrupted run resumes after its last epoch, and a complete one is used as it is.
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from torch import Tensor

from trainables.core.atomic_files import write_atomically
from trainables.core.config import build, plain, require
from trainables.core.formatting import clock, format_interval
from trainables.data.canonical import Canonical
from trainables.data.sources import laboratory_of
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.users import effective_users
from trainables.detector.api import load_trained_detector
from trainables.detector.bots import BOTS
from trainables.detector.dataset.negatives import of_style
from trainables.detector.evaluation.config import DetectorEvaluationCommand
from trainables.detector.evaluation.tables import NONE, Table, show
from trainables.detector.spec import DETECTOR
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.generation.by_source import require_enough, rows_by_source
from trainables.eval.generation.validator import Validator
from trainables.eval.indices import Indices
from trainables.eval.intervals.jackknife import JackknifeEstimate, difference, interval, jackknife, over_strata
from trainables.model_evaluation.config import EvalConfig
from trainables.model_evaluation.evaluate_generator import with_sampling
from trainables.model_evaluation.generator import metrics_by_user
from trainables.models import load_generator
from trainables.specs import TRAINABLES
from trainables.training.checkpoint import load_record
from trainables.training.checkpoint_record import require_not_distilled, require_same_data
from trainables.training.metric_names import EPOCH, VAL_AUC_EXCESS
from trainables.training.run_folder import CHECKPOINTS, RunFolder, remaining_epochs
from trainables.training.trainable import TrainableSpec

FPR, MISSED = "fpr", "missed_bots"
TITLES = {VAL_AUC_EXCESS: "AUC excess", FPR: "FPR", MISSED: "missed bots"}
NAME = "leave_one_source_out"
NOT_IN_FOLDERS = r"[^\w.-]"  # letters of a source that its folder is not named with

Estimates = Mapping[str, JackknifeEstimate]
Scorer = Callable[[Path, DataSplits], Estimates]
"""(checkpoint, splits of its training) -> metrics on the movements left out, with and without each user."""


@dataclass(frozen=True)
class LeftOut:
    """Metrics on the users of one laboratory.

    Attributes:
        sources: Its evaluated sources.
        unseen: Metrics of the model that was trained without them.
        seen: Metrics of the model that was trained on all.
    """

    laboratory: str
    sources: tuple[str, ...]
    movements: int
    users: tuple[str, ...]
    effective_users: float
    unseen: Estimates
    seen: Estimates

    def to_json(self) -> dict[str, Any]:
        """Return a plain mapping, metrics with intervals over users."""
        paired = {name: difference(self.unseen[name], self.seen[name]) for name in self.unseen if name in self.seen}
        sides = {"without_it": self.unseen, "trained_on_all": self.seen, "difference": paired}
        metrics = {side: {name: asdict(interval(m)) for name, m in found.items()} for side, found in sides.items()}
        account = {"sources": list(self.sources), "movements": self.movements, "users": len(self.users)}
        return {**account, "effective_users": self.effective_users, **metrics}


@dataclass(frozen=True, eq=False)
class Fold:
    """One laboratory that is left out.

    Attributes:
        held_out: Movements of its evaluated users.
        trainable: Training configuration without its recordings.
        path: Folder of the training run.
        score: Evaluates a model on `held_out`.
    """

    laboratory: str
    sources: tuple[str, ...]
    held_out: Canonical
    trainable: Any
    path: Path
    score: Scorer


def leave_one_source_out(config: EvalConfig | DetectorEvaluationCommand) -> int:
    """Train and evaluate a model per laboratory, write the table, print it; returns the exit code.

    Raises:
        ConfigError: Fewer than two laboratories, or one of too few movements or users.
        CheckpointError: The checkpoint cannot be used, or was trained on other data than the present ones.
    """
    console, checkpoint, folder = Console(), Path(config.ckpt), Path(config.out_dir)
    record = load_record(checkpoint)
    spec = TRAINABLES[record["kind"]]
    require_not_distilled(checkpoint, record, "to train again without a source")
    trainable = build(spec.config, record["config"])
    splits = load_splits(trainable.data)
    require_same_data(checkpoint, record, splits.sha256)
    laboratories, began = laboratories_of(splits[config.split]), time.monotonic()
    folds = [fold_of(config, trainable, splits, name, sources) for name, sources in laboratories.items()]
    made_s = time.monotonic() - began
    console.print(cost_line(spec, trainable, folds, made_s), highlight=False, soft_wrap=True)
    device = config.device if isinstance(config, EvalConfig) else "cpu"
    found = evaluate_folds(folds, spec, device, checkpoint, splits, console)
    table = table_of(found, spec)
    weights = {fold.laboratory: load_record(checkpoint_of(fold, spec))["weights_sha256"] for fold in folds}
    content = {
        "kind": spec.name,
        "checkpoint_sha256": record["weights_sha256"],
        "left_out": {one.laboratory: one.to_json() for one in found},
        "settings": plain(config),
        "trainable": record["config"],
        "weights_sha256": weights,
    }
    write_atomically(folder / f"{NAME}.json", json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")
    write_atomically(folder / f"{NAME}.md", table.markdown())
    show(console, (table,))
    console.print(f"table and models: {folder.resolve()}", highlight=False, soft_wrap=True)
    return 0


def evaluate_folds(
    folds: Sequence[Fold], spec: TrainableSpec, device: str, checkpoint: Path, splits: DataSplits, console: Console
) -> list[LeftOut]:
    """Train the model of each fold, evaluate it and the checkpoint; prints each when it is complete, and the time left.

    Args:
        splits: Of the training of the checkpoint.
    """
    found, spent_s, columns = [], list[float](), (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, MofNCompleteColumn(), TextColumn("epochs"), console=console, transient=True) as progress:
        for number, fold in enumerate(folds, start=1):
            began, trained, of = time.monotonic(), 0, f"{number}/{len(folds)}  without {fold.laboratory}"
            bar = progress.add_task(of, total=fold.trainable.epochs)
            for line in remaining_epochs(fold.path, spec, fold.trainable, device=device):
                progress.update(bar, completed=line[EPOCH])
                trained += line[EPOCH] > 0
            unseen = fold.score(checkpoint_of(fold, spec), load_splits(fold.trainable.data))
            users = tuple(sorted(set(fold.held_out.group)))
            account = len(fold.held_out), users, effective_users(fold.held_out.group)
            found.append(LeftOut(fold.laboratory, fold.sources, *account, unseen, fold.score(checkpoint, splits)))
            progress.remove_task(bar)
            spent_s += [time.monotonic() - began] * bool(trained)
            left = clock(sum(spent_s) / len(spent_s) * (len(folds) - number)) if spent_s else NONE
            console.print(f"{of}: {trained} epochs trained, {left} left", highlight=False, soft_wrap=True)
    return found


def laboratories_of(evaluated: Canonical) -> dict[str, tuple[str, ...]]:
    """Return the laboratories of evaluated movements, each with its sources.

    Raises:
        ConfigError: Fewer than two, or a source of too few movements or users.
    """
    rows = rows_by_source(evaluated.source)
    found: dict[str, tuple[str, ...]] = {}
    for source in rows:
        found[laboratory_of(source)] = (*found.get(laboratory_of(source), ()), source)
    law = "`laboratories with evaluated users >= 2`, of which one is left out"
    require(len(found) >= 2, law, ", ".join(found), "train on several sources, as with data.sources")
    require_enough({source: [evaluated.group[row] for row in own] for source, own in rows.items()}, folds=2)
    return found


def fold_of(
    config: EvalConfig | DetectorEvaluationCommand,
    trainable: Any,
    splits: DataSplits,
    laboratory: str,
    sources: tuple[str, ...],
) -> Fold:
    """Return the fold of a laboratory, with all that its models share made once."""
    held_out, data = of_sources(splits[config.split], sources), trainable.data
    score = (
        generator_score(config, trainable, held_out, of_sources(splits["train"], sources))
        if isinstance(config, EvalConfig)
        else detector_score(config, trainable, held_out)
    )
    others = replace(trainable, data=replace(data, leave_out=(*data.leave_out, laboratory)))
    path = Path(config.out_dir) / re.sub(NOT_IN_FOLDERS, "_", laboratory)
    return Fold(laboratory, sources, held_out, others, path, score)


def cost_line(spec: TrainableSpec, trainable: Any, folds: Sequence[Fold], made_s: float) -> str:
    """Return how many models will be trained, and the time that they take on this machine.

    Args:
        made_s: Seconds in which the folds were made. An evaluation of a generator fits the probes as its floor does, so
            that it takes no less than this share of all folds.
    """
    left = sum(fold.trainable.epochs - RunFolder(fold.path, spec.metrics.epoch_order).last_epoch for fold in folds)
    models = f"{len(folds)} models, each without one of {', '.join(fold.laboratory for fold in folds)}"
    if not left:
        return f"{models}: all complete"
    cost = spec.load().measure(trainable)
    validation_s = max(cost.evaluation_s, made_s * (1 - 1 / len(folds)))
    seconds = (cost.steps_per_epoch * cost.step_s + validation_s) * left + 2 * made_s
    return f"{models}: {left} epochs to train, about {clock(seconds)}; the same command resumes"


def checkpoint_of(fold: Fold, spec: TrainableSpec) -> Path:
    """Return the checkpoint of a complete run that is evaluated, the one that its kind of model recommends."""
    return fold.path / CHECKPOINTS / spec.metrics.recommended


def of_sources(movements: Canonical, sources: Sequence[str]) -> Canonical:
    """Return the movements of some sources."""
    return movements.take(torch.tensor([row for row, source in enumerate(movements.source) if source in sources]))


def generator_score(config: EvalConfig, trainable: Any, held_out: Canonical, training: Canonical) -> Scorer:
    """Return the evaluation of a generator's samples under the conditions of the held-out movements.

    The source of the conditions is unknown to a generator that was trained without it.

    Args:
        training: Movements of training users of the same sources, for the floor.
    """
    validator = Validator.fit(held_out, training, trainable.data.canonical, trainable.evaluation)

    def score(checkpoint: Path, _: DataSplits) -> Estimates:
        model = with_sampling(load_generator(checkpoint, config.device), config)
        samples = model.sample_matching(validator.held_out, seed=config.seed)
        return metrics_by_user(validator, validator.evaluations(samples))

    return score


def detector_score(config: DetectorEvaluationCommand, trainable: Any, held_out: Canonical) -> Scorer:
    """Return the evaluation of a detector: FPR of the held-out users, and mean over families of missed bots.

    The threshold is that at the target FPR on the validation users of the detector's own training. Bots of every style
    move under the conditions of the held-out movements.
    """
    bots: dict[str, list[Canonical]] = {}
    for style, bot in BOTS.items():
        made = of_style(style, held_out, trainable.data.canonical, config.seed)
        bots.setdefault(bot.family, []).append(made.canonical)
    users = sorted(set(held_out.group))

    def score(checkpoint: Path, splits: DataSplits) -> Estimates:
        detector = load_trained_detector(checkpoint)
        threshold = threshold_at_fpr(detector.logit(splits["validation"]), config.report.fprs[0]).value
        flagged = [(detector.logit(held_out) > threshold).double()]
        missed = {
            family: torch.stack([(detector.logit(part) <= threshold).double() for part in parts])
            for family, parts in bots.items()
        }
        families = {f"{MISSED}/{family}": [part] for family, part in missed.items()}
        shares = {FPR: flagged, MISSED: list(missed.values()), **families}
        return {name: jackknife(partial(_mean, parts), held_out.group, users) for name, parts in shares.items()}

    return score


def _mean(parts: Sequence[Float[Tensor, "... N"]], rows: Indices) -> float:
    """Return the mean over parts of the mean of chosen columns."""
    return float(torch.stack([part[..., torch.from_numpy(rows)].mean() for part in parts]).mean())


def table_of(found: Sequence[LeftOut], spec: TrainableSpec) -> Table:
    """Return a row per laboratory, and the mean: both models and their paired difference, with intervals over users."""
    shown = (FPR, MISSED) if spec.model_type == DETECTOR else (VAL_AUC_EXCESS,)
    columns = [f"{TITLES[name]}, {side}" for name in shown for side in ("without it", "trained on all", "difference")]
    rows = [
        (one.laboratory, str(one.movements), f"{len(one.users)} ({one.effective_users:.1f})", *_cells(shown, [one]))
        for one in found
    ]
    total = str(sum(one.movements for one in found))
    rows.append(("mean", total, str(sum(len(one.users) for one in found)), *_cells(shown, found)))
    title = "Source left out of the training: metrics on its users, 95 % intervals over users"
    return Table(title, ("source", "rows", "users (effective)", *columns), tuple(rows))


def _cells(shown: Sequence[str], found: Sequence[LeftOut]) -> list[str]:
    """Return the cells of the metrics of laboratories, of several their mean over strata; a dash where one has none."""
    cells = []
    for name in shown:
        if not all(name in one.unseen and name in one.seen for one in found):
            cells += [NONE] * 3
            continue
        pairs = [(one.unseen[name], one.seen[name]) for one in found]
        unseen, seen = zip(*pairs, strict=True)
        for strata in (unseen, seen, [difference(*pair) for pair in pairs]):
            one = over_strata(strata)
            cells.append(format_interval(one.value, one.low, one.high))
    return cells
