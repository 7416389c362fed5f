"""Write the trials of a study as CSV and Parquet: parameters, values, metrics, states, seeds, times and attempts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas
from optuna.trial import FrozenTrial
from rich.console import Console

from platform.core.console import print_line
from platform.core.output_files import writable
from platform.report.study_view import state_of
from platform.study.comparable import CONFIG, MADE_WITH
from platform.study.ranking import objectives_of
from platform.study.resume import ATTEMPT, METRICS, OVERRIDES, PRIOR, REASON, REPEATS, last_epoch, resumed_from
from trainables.core.atomic_files import staged_file

CSV, PARQUET = "trials.csv", "trials.parquet"
SCALARS = (bool, int, float, str)


def export(console: Console, study: optuna.Study, folder: Path) -> int:
    """Write `trials.csv` and `trials.parquet` into the folder of a study, and print their paths; returns the exit code.

    Raises:
        ConfigError: the folder cannot be written, or the study was not made by a sweep.
    """
    table = trials_table(study)
    csv, parquet = folder / CSV, folder / PARQUET
    with writable("storage_path", csv), staged_file(csv) as staged:
        table.to_csv(staged, index=False)
    with writable("storage_path", parquet), staged_file(parquet) as staged:
        table.to_parquet(staged, index=False)
    for file in (csv, parquet):
        print_line(console, f"{file}: {len(table)} trials, {len(table.columns)} columns")
    return 0


def trials_table(study: optuna.Study) -> pandas.DataFrame:
    """Return one row per trial, by number: facts, `value:OBJECTIVE`, `trainable.KEY`, then the metrics by name.

    `trainable.KEY` holds the searched parameters and the seeds of its own that a trial was trained with; a parameter
    that was not active in a trial is missing there. Times are the driver's local time.
    """
    texts = [objective.text for objective in objectives_of(study)]
    seed = study.user_attrs.get(CONFIG, {}).get("seed")
    trials = study.get_trials(deepcopy=False)
    parameters = [{**trial.params, **trial.user_attrs.get(OVERRIDES, {})} for trial in trials]
    blocks = (
        pandas.DataFrame([_facts(trial, seed) for trial in trials]),
        _block([_values(trial, texts) for trial in trials], "value:"),
        _block(parameters, "trainable."),
        _block([trial.user_attrs.get(METRICS, {}) for trial in trials], ""),
    )
    return pandas.concat(blocks, axis=1)


def _facts(trial: FrozenTrial, seed: int | None) -> dict[str, Any]:
    """Return what is known of every trial; `seed` is the one of the study's configuration."""
    attributes = trial.user_attrs
    made, prior = attributes.get(MADE_WITH, {}), attributes.get(PRIOR)
    return {
        "trial": trial.number,
        "state": state_of(trial),
        "reason": attributes.get(REASON, ""),
        "attempt": attributes.get(ATTEMPT, 0) + 1,
        "resumed_from": _whole(resumed_from(trial)),
        "repeats": _whole(attributes.get(REPEATS)),
        "prior": f"{prior[0]}/{prior[1]}" if prior else "",
        "seed": _whole(attributes.get(OVERRIDES, {}).get("seed", None if prior else seed)),
        "sampler": made.get("sampler", ""),
        "sampler_seed": _whole(made.get("seed")),
        "started": trial.datetime_start,
        "ended": trial.datetime_complete,
        "duration_s": trial.duration.total_seconds() if trial.duration else None,
        "epoch": _whole(last_epoch(trial)),
    }


def _whole(value: int | None) -> Any:
    """Return a whole number that may be missing, so that its column stays one of whole numbers."""
    return pandas.NA if value is None else int(value)


def _values(trial: FrozenTrial, texts: Sequence[str]) -> dict[str, float]:
    """Return the values of a COMPLETE trial by objective; the value of a PRUNED one is its scheduler metric."""
    return dict(zip(texts, trial.values, strict=True)) if trial.values and trial.state.name == "COMPLETE" else {}


def _block(rows: Sequence[Mapping[str, Any]], prefix: str) -> pandas.DataFrame:
    """Return the columns of rows in order of their first use; a column of mixed types holds text."""
    names = dict.fromkeys(name for row in rows for name in row)
    return pandas.DataFrame({f"{prefix}{name}": _column([row.get(name) for row in rows]) for name in names})


def _column(values: Sequence[Any]) -> pandas.Series:
    types = {type(value) for value in values if value is not None}
    if types <= {int, float} or (len(types) == 1 and types <= set(SCALARS)):
        return pandas.Series(list(values))
    return pandas.Series([value if value is None or isinstance(value, str) else json.dumps(value) for value in values])
