"""Points of the user, which a study tries first: `enqueue=FILE`, a list of mappings in YAML, or rows of a CSV file.

    - {optim.lr: 1e-3, model.base_channels: 64}          optim.lr,model.base_channels
    - {optim.lr: 3e-3}                                    1e-3,64

A key may begin with `trainable.`, as on the command line. A parameter without a value is suggested by the sampler.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from platform.study.search_space import contains
from platform.study.sweep import Sweep
from search_spaces import Space
from trainables.core.config import ConfigError, require_laws
from trainables.specs import TRAINABLES

PREFIX = "trainable."


def read_points(sweep: Sweep) -> tuple[dict[str, Any], ...]:
    """Return the points of `enqueue=FILE`, each by dotted key of the space; none where there is no file.

    Raises:
        ConfigError: the file cannot be read, or a row has an unknown key, a value outside of the space, or one that
            the trainable refuses; the message names the row.
    """
    name = sweep.settings.enqueue
    if not name:
        return ()
    rows = _rows(Path(name).expanduser())
    return tuple(_point(row, sweep, f"enqueue={name}, row {number}") for number, row in enumerate(rows, start=1))


def enqueue_points(study: optuna.Study, points: Sequence[Mapping[str, Any]]) -> int:
    """Enqueue points, each once per study; returns how many were new."""
    before = len(study.get_trials(deepcopy=False))
    for point in points:
        study.enqueue_trial(dict(point), skip_if_exists=True)
    return len(study.get_trials(deepcopy=False)) - before


def _rows(file: Path) -> list[Mapping[str, Any]]:
    """Return the rows of a file; of a CSV file without empty cells."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows: Any = _csv_rows(text) if file.suffix.lower() == ".csv" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, csv.Error) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise ConfigError(f"enqueue={file}: not readable as YAML or CSV ({reason}); correct the file") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, Mapping) and row for row in rows):
        raise ConfigError(
            f"enqueue={file}: expected a list of points, each a mapping of keys to values, but got something else; "
            "write one line per point, as - {optim.lr: 1e-3}"
        )
    found: list[Mapping[str, Any]] = rows
    return found


def _csv_rows(text: str) -> list[dict[str, str]]:
    reader = csv.DictReader(text.splitlines(), strict=True, restkey="a cell without a heading")
    return [{key: cell for key, cell in row.items() if cell not in ("", None)} for row in reader]


def _point(row: Mapping[str, Any], sweep: Sweep, at: str) -> dict[str, Any]:
    """Return a row as a point of the space."""
    space = sweep.space
    given = {str(key).strip().removeprefix(PREFIX): value for key, value in row.items()}
    unknown = [key for key in given if key not in space.parameters]
    if unknown:
        raise ConfigError(
            f"{at}: expected keys of the search space, but got {unknown[0]}; choose among {', '.join(space.parameters)}"
        )
    point = {key: _value(given[key], space.parameters[key], f"{at}, {key}") for key in space.parameters if key in given}
    for key in point:
        _require_active(space, key, point, at)
    if sweep.settings.sampler == "grid" and len(point) < len(space.parameters):
        missing = next(key for key in space.parameters if key not in point)
        raise ConfigError(f"{at}: expected a value of every parameter with sampler=grid, but got none of {missing}")
    try:
        require_laws(TRAINABLES[space.trainable].config, sweep.trainable, [point], at="trainable")
    except ConfigError as error:
        raise ConfigError(f"{at}: {error}") from None
    return point


def _require_active(space: Space, key: str, point: Mapping[str, Any], at: str) -> None:
    if not space.active(key, point):
        condition = space.conditions[key]
        choices = " or ".join(map(str, condition.values))
        raise ConfigError(
            f"{at}: expected {condition.key}={choices} beside {key}, but got {point.get(condition.key, 'none')}; "
            "leave one of them out"
        )


def _value(given: Any, distribution: BaseDistribution, at: str) -> Any:
    """Return a cell as a value of the distribution: text of a CSV file, and 1e-3, which YAML reads as text, too."""
    if isinstance(distribution, CategoricalDistribution):
        for choice in distribution.choices:
            if given == choice and isinstance(given, bool) == isinstance(choice, bool):
                return choice
        found = next((choice for choice in distribution.choices if _written(given) == _written(choice)), given)
    else:
        found = _number(given, isinstance(distribution, IntDistribution))
    if not contains(distribution, found):
        raise ConfigError(f"{at}: expected a value of {distribution}, but got {given}; correct it or widen the space")
    return found


def _written(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _number(given: Any, whole: bool) -> Any:
    """Return a number of a cell, an integral one as an int where it has to be `whole`; else the cell as it is."""
    if isinstance(given, bool):
        return str(given)
    try:
        number = float(given)
    except (TypeError, ValueError):
        return str(given)
    if math.isnan(number) or (whole and not number.is_integer()):
        return str(given)
    return int(number) if whole else number
