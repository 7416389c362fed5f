"""Compare several files of samples: one row per file, and the differences to the first with intervals over users.

Every file names the recorded movement that each of its samples was made for (`trainables.data.evaluation_rows`), and
the movements that all of them name are compared. So the files differ by their samples alone: rows, users, folds and
kernel width are the same. A sample that is no movement any more counts as rejected.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from trainables.core.config import plain, require
from trainables.core.output_folder import output_folder
from trainables.data.canonical import TENSORS, Canonical, Movements, encode, usable, with_deltas
from trainables.data.config import CanonicalConfig
from trainables.data.evaluation_rows import ROW_ID, rows_of
from trainables.data.splits.loading import load_splits
from trainables.detector.evaluation.tables import Table, show
from trainables.eval.generation.config import MINIMUM_MOVEMENTS
from trainables.eval.generation.metrics import GENERATION
from trainables.eval.generation.movement_reader import Observed, canonicalise, movements_of
from trainables.eval.generation.real_and_fake import common_form
from trainables.eval.generation.report import Numbers
from trainables.model_evaluation.config import EvalConfig
from trainables.model_evaluation.evaluate_generator import PACKAGES, origin_of, read_file
from trainables.model_evaluation.metric_rows import (
    CONFIDENCE,
    MetricRow,
    metric_row,
    shown_interval,
    shown_metrics,
    validator_of,
)
from trainables.training import metric_names as names

SHOWN = (names.VAL_CONDITION_ERROR, names.VAL_PRECISION, names.VAL_RECALL, names.VAL_REJECTED)
"""Metrics of the table beside the headline and the tie-breaker."""


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Samples of one file.

    Attributes:
        rows: Row number of the recorded movement that each was made for.
    """

    path: str
    file: Observed
    rows: Int[Tensor, "N"]


def write_comparison(config: EvalConfig) -> int:
    """Compare the files, write the report, and print the tables; returns the exit code."""
    console, folder = Console(), output_folder(config.out_dir)
    with Progress(console=console, transient=True) as progress:
        numbers, rows = compare(config, progress)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(numbers, indent=1, sort_keys=True, allow_nan=False)
    (folder / "report.json").write_text(text + "\n")
    show(console, tables(config.samples, rows, numbers))
    console.print(f"report: {folder.resolve()}", highlight=False, soft_wrap=True)
    return 0


def compare(config: EvalConfig, progress: Progress) -> tuple[Numbers, list[MetricRow]]:
    """Return the numbers of the report, and the metrics of each file.

    Raises:
        ConfigError: A file without row ids, with those of other data, or too few rows that all files name.
        RecordingError, CheckpointError: A file cannot be read.
    """
    data, splits = config.data, load_splits(config.data)
    real = movements_of(splits, config.split, data.canonical)
    sets = []
    for path in progress.track(config.samples, description="reading"):
        file = read_file(Path(path))
        row_ids = file.row_ids or ()
        law, remedy = f"`{ROW_ID}` in each of several files", "sample under `python -m platform.data conditions`"
        require(file.row_ids is not None, law, f"none in {path}", remedy)
        sets.append(SampleSet(path, file, rows_of(row_ids, config.split, splits.sha256, real.read, Path(path))))
    common = common_rows(sets)
    form = common_form(data.canonical, real.movements, *(one.file.movements for one in sets))
    matched = encode(real.movements.take(common), form)
    require_groups(matched, config.comparison.folds)
    training = canonicalise(movements_of(splits, "train", data.canonical).movements, form).canonical
    validator, users = validator_of(matched, training, form, config.comparison)
    rows = [
        metric_row(validator, samples_at(one, common, matched, form))
        for one in progress.track(sets, description="computing metrics")
    ]
    accounts = [
        {
            **origin_of(Path(one.path), one.file),
            "read": one.file.read,
            "dropped": dict(one.file.dropped),
            "left_out": len(one.rows) - len(common),
            "metrics": row.to_json(),
            "difference_to_first": {name: asdict(found) for name, found in row.differences(rows[0]).items()},
        }
        for one, row in zip(sets, rows, strict=True)
    ]
    return {
        "files": accounts,
        "real": {"source": config.split, "read": real.read, "evaluated": len(common), "users": len(users)},
        "users": list(users),
        "confidence": CONFIDENCE,
        "data": {**plain(data), "sha256": splits.sha256},
        "config": plain(config),
        "versions": {"python": sys.version.split()[0], **{package: version(package) for package in PACKAGES}},
    }, rows


def common_rows(sets: Sequence[SampleSet]) -> Int[Tensor, "K"]:
    """Return the rows that all files name, in the order of the split.

    Raises:
        ConfigError: Fewer than `MINIMUM_MOVEMENTS`.
    """
    rows = sorted(set.intersection(*(set(one.rows.tolist()) for one in sets)))
    law = f"`rows that all files name >= {MINIMUM_MOVEMENTS}`"
    require(len(rows) >= MINIMUM_MOVEMENTS, law, str(len(rows)), "sample all of them under the same conditions")
    return torch.tensor(rows, dtype=torch.int64)


def require_groups(matched: Canonical, folds: int) -> None:
    """Raise ConfigError for fewer users of the matched movements than folds."""
    users = len(set(matched.group))
    remedy = "sample under the conditions of more users, or set comparison.folds lower"
    require(users >= folds, "`users of the matched movements >= folds`", f"{users} users, folds={folds}", remedy)


def samples_at(one: SampleSet, rows: Int[Tensor, "K"], matched: Canonical, form: CanonicalConfig) -> Canonical:
    """Return the samples of rows in canonical form; one that has none stays without steps, and is rejected later."""
    place = {row: at for at, row in enumerate(one.rows.tolist())}
    movements: Movements = one.file.movements.take(torch.tensor([place[row] for row in rows.tolist()]))
    good, _ = usable(movements, form)
    whole, found = with_deltas(matched, torch.zeros_like(matched.deltas)), encode(movements.take(good), form)
    parts = {name: getattr(whole, name).clone() for name in TENSORS if name != "target_width_px"}
    for name, tensor in parts.items():
        tensor[good] = getattr(found, name)
    return replace(whole, **parts)


def tables(paths: Sequence[str], rows: Sequence[MetricRow], numbers: Numbers) -> tuple[Table, Table]:
    """Return the table of the files, and that of their differences to the first."""
    shown = (*GENERATION.shown, *SHOWN)
    columns = tuple(GENERATION[name].column for name in shown)
    real = numbers["real"]
    title = f"{real['evaluated']} movements of {real['users']} users, {100 * CONFIDENCE:g} % intervals over users"
    whole = [(path, *shown_metrics(shown, row)) for path, row in zip(paths, rows, strict=True)]
    return Table(title, ("samples", *columns), tuple(whole)), differences_table(paths, rows, shown)


def differences_table(paths: Sequence[str], rows: Sequence[MetricRow], shown: Sequence[str]) -> Table:
    """Return the differences of all files but the first to the first."""
    differences: list[dict[str, Any]] = [dict(row.differences(rows[0])) for row in rows[1:]]
    compared = [name for name in shown if all(name in found for found in differences)]
    cells = [
        (path, *(shown_interval(name, found[name]) for name in compared))
        for path, found in zip(paths[1:], differences, strict=True)
    ]
    columns = ("samples", *(GENERATION[name].column for name in compared))
    return Table(f"Difference to {paths[0]}", columns, tuple(cells))
