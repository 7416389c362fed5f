"""Runs of a crossfit: the configuration and the users of each fold, what is trained already, and what it costs."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from trainables.core.config import build, require, with_values
from trainables.core.formatting import clock
from trainables.data.config import DataConfig, Fold
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.users import effective_users
from trainables.eval.generation.config import MINIMUM_MOVEMENTS
from trainables.eval.generation.matching import evaluated_rows
from trainables.eval.two_sample.paired import WHOLE_USERS
from trainables.generation.model_type import GENERATOR
from trainables.model_evaluation.config import EvalConfig
from trainables.specs import TRAINABLES
from trainables.training import metric_names as names
from trainables.training.checkpoint import CheckpointError, load_record
from trainables.training.checkpoint_record import require_not_distilled, require_same_data
from trainables.training.run_folder import CONFIG, METRICS, RunFolder, opened
from trainables.training.trainable import TrainableSpec

FOLDER = "crossfit"  # of all folds, in `out_dir`
STOPPING = "early_stopping"  # the group of a configuration by which a run may end before its last epoch

FIRST_EVALUATIONS, FINAL_EVALUATIONS = 2, 5  # of a fold before and after its epochs, in evaluations of an epoch


@dataclass(frozen=True, eq=False)
class FoldRun:
    """The training run of one fold, before or after it was trained.

    Attributes:
        config: Configuration of the trainable, with its fold.
        owners: User of each movement that is evaluated.
    """

    fold: Fold
    config: Any
    folder: RunFolder
    owners: tuple[str, ...]
    data_sha256: str

    @property
    def users(self) -> tuple[str, ...]:
        """The users of the fold, sorted."""
        return tuple(sorted(set(self.owners)))


@dataclass(frozen=True, eq=False)
class Crossfit:
    """Runs of all folds.

    Attributes:
        record: Of the checkpoint whose configuration they have.
        epochs: Epochs that each is trained for: those of the checkpoint.
        splits: The splits of the checkpoint, whose holdout split is left out.
    """

    checkpoint: Path
    record: Mapping[str, Any]
    spec: TrainableSpec
    epochs: int
    splits: DataSplits
    runs: tuple[FoldRun, ...]

    @property
    def owners(self) -> tuple[str, ...]:
        """User of each movement that is evaluated, of all folds."""
        return tuple(owner for run in self.runs for owner in run.owners)

    @property
    def left(self) -> int:
        """Epochs of all folds that are not trained yet."""
        return sum(self.epochs - run.folder.last_epoch for run in self.runs)


def plan(config: EvalConfig) -> Crossfit:
    """Return the runs of all folds, with what is already trained of them.

    Raises:
        ConfigError, CheckpointError: See `write_crossfit`.
    """
    checkpoint = Path(config.ckpt)
    record = load_record(checkpoint)
    spec = _generator(checkpoint, record)
    require_not_distilled(checkpoint, record, "for the folds to train again")
    epochs = int(record.get(names.EPOCH, 0))
    require(epochs >= 1, "the checkpoint of a trained epoch", f"epoch {epochs}", "give another checkpoint of its run")
    data = build(DataConfig, record["config"]["data"])
    law, remedy = "a checkpoint of the four splits", "give the checkpoint whose configuration the folds have"
    require(data.fold is None, law, f"one of data.fold={data.fold}", remedy)
    splits = load_splits(data)
    require_same_data(checkpoint, record, splits.sha256)
    place = Path(config.out_dir) / FOLDER
    runs = tuple(
        _run(Fold(number, config.crossfit), record["config"], spec, place / f"fold-{number}")
        for number in range(1, config.crossfit + 1)
    )
    for run in runs:
        _check_trained(run, spec.name, epochs)
    return Crossfit(checkpoint, record, spec, epochs, splits, runs)


def _generator(checkpoint: Path, record: Mapping[str, Any]) -> TrainableSpec:
    known = {name: spec for name, spec in TRAINABLES.items() if spec.model_type == GENERATOR}
    kind = record.get("kind")
    if kind not in known:
        kinds = " or ".join(f"`{name}`" for name in known)
        raise CheckpointError(f"{checkpoint}: expected a checkpoint of a generator ({kinds}), but got {kind}")
    return known[kind]


def _run(fold: Fold, recorded: Mapping[str, Any], spec: TrainableSpec, path: Path) -> FoldRun:
    """Return the run of a fold: the recorded configuration, on the fold's users, all of them, to the last epoch."""
    values: dict[str, Any] = {"data.fold": str(fold)}
    if STOPPING in recorded:
        values[f"{STOPPING}.patience"] = 0
    splits = load_splits(build(DataConfig, {**recorded["data"], "fold": str(fold)}))
    held_out = splits["validation"]
    law = f"`movements of each fold >= {MINIMUM_MOVEMENTS}`"
    require(len(held_out) >= MINIMUM_MOVEMENTS, law, f"{len(held_out)} in fold {fold}", "use fewer folds")
    users = len(set(held_out.group))
    require(users >= 2, "`users of each fold >= 2`", f"{users} in fold {fold}", "use fewer folds")
    values["evaluation.movements"] = max(len(held_out), recorded["evaluation"]["movements"])
    config = build(spec.config, with_values(recorded, values), at="trainable")
    rows = evaluated_rows(held_out, splits["train"], config.evaluation.movements, config.evaluation.seed)
    law = f"movements of training users of fold {fold}, as many of each source as are evaluated"
    require(len(rows) == len(held_out), law, f"{len(held_out) - len(rows)} too few", "use more folds")
    return FoldRun(fold, config, RunFolder(path, spec.metrics.epoch_order), held_out.group, splits.sha256)


def _check_trained(run: FoldRun, trainable: str, epochs: int) -> None:
    """Require that what is already trained of a fold has its configuration, the present data and no more epochs."""
    folder = run.folder
    if (folder.path / CONFIG).exists():
        with opened(folder.path, trainable, run.config, folder.epoch_order):
            pass
    last = folder.last
    if last is None:
        return
    remedy = "choose another out_dir"
    law = f"{folder.path} to hold at most {epochs} epochs, those of the checkpoint"
    require(folder.last_epoch <= epochs, law, str(folder.last_epoch), remedy)
    sha256 = str(load_record(last).get("data_sha256"))
    law = f"{folder.path} to hold a run with the present data ({run.data_sha256[:16]})"
    require(sha256 == run.data_sha256, law, sha256[:16], remedy)


def plan_lines(crossfit: Crossfit) -> Iterator[str]:
    """Yield what is trained and evaluated, what is left out, and what it costs."""
    count, owners, holdout = len(crossfit.runs), crossfit.owners, crossfit.splits["holdout"]
    yield (
        f"crossfit: {count} folds of {len(set(owners))} users ({effective_users(owners):.1f} effective), "
        f"{len(owners)} movements; each user is evaluated once, by a model that was trained on the other folds"
    )
    yield (
        f"left out: the {len(set(holdout.group))} users of the holdout split, "
        "neither trained on nor evaluated, so that they stay unseen"
    )
    if min(len(run.users) for run in crossfit.runs) < WHOLE_USERS:
        yield (
            f"probes: a fold has fewer than {WHOLE_USERS} users, so their cross-validation is over pairs and not over "
            "users, also for the floor; fewer folds have more users"
        )
    if not crossfit.left:
        yield f"cost: all {count * crossfit.epochs} epochs are trained already"
        return
    cost = epoch_cost(crossfit)
    begun = sum(run.folder.last_epoch > 0 for run in crossfit.runs)
    seconds = crossfit.left * (cost.training_s + cost.evaluation_s)
    seconds += ((count - begun) * FIRST_EVALUATIONS + count * FINAL_EVALUATIONS) * cost.evaluation_s
    yield (
        f"cost: {crossfit.left} of {count} x {crossfit.epochs} epochs to train, each {cost.training_s:.1f} s and "
        f"{cost.evaluation_s:.1f} s of evaluation ({cost.basis}); about {clock(seconds)} in all"
    )


class EpochCost(NamedTuple):
    """Seconds of an epoch and of its evaluation, and where they are from."""

    training_s: float
    evaluation_s: float
    basis: str


def epoch_cost(crossfit: Crossfit) -> EpochCost:
    """Return the median cost of an epoch in the run of the checkpoint; timed here where it recorded none."""
    path = crossfit.checkpoint.resolve().parents[1]
    lines = RunFolder(path, crossfit.spec.metrics.epoch_order).metrics() if (path / METRICS).is_file() else []
    recorded = [line for line in lines if names.TRAIN_SECONDS in line and names.VAL_SECONDS in line]
    if recorded:
        parts = (names.TRAIN_SECONDS, names.VAL_SECONDS)
        training_s, evaluation_s = (statistics.median(line[part] for line in recorded) for part in parts)
        return EpochCost(training_s, evaluation_s, "recorded by the run of the checkpoint")
    cost = crossfit.spec.load().measure(crossfit.runs[0].config)
    return EpochCost(cost.steps_per_epoch * cost.step_s, cost.evaluation_s, "timed on this machine")
