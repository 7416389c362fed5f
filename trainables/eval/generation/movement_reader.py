"""Read movements for an evaluation from a data set or a file, and bring them into canonical form.

    file or sampler --> whole-pixel steps at 60 Hz (`Movements`) --> usable movements --> canonical form

Recordings and samples pass the same functions, and movements that are left out are counted by reason. Files of samples:

    .parquet, .csv   tables (`trainables.data.readers.table`): t_ms, x, y, user, session. One row per
                     movement with lists is one movement; one row per event is segmented into movements, so let each
                     movement be its own session.
    .npy             [N, P, 3] with (t_ms, x, y) per point; a movement of fewer than P points ends in rows of NaN.

A Parquet table of movements may hold the requested conditions: one column per condition, named as `CONDITION_NAMES`.
The target width may be missing, as a column or as a value. The files of the sampling command hold them, as Parquet and
as .npy (`trainables.data.samples`).

A table with a column `row_id` (`trainables.data.evaluation_rows`) names the recorded movement that each sample was made
for; it needs no user and no session, and all events of one row id are one movement.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.config import ConfigError, require
from trainables.data.canonical import Canonical, Movements, decode, encode, usable
from trainables.data.config import CONDITION_NAMES, MEASURED_CONDITIONS, CanonicalConfig
from trainables.data.named_rows import has_row_ids, read_named_rows
from trainables.data.readers.recordings import Recording, RecordingError, RecordingSet
from trainables.data.readers.segment import SAMPLE_RULE
from trainables.data.readers.table import read_table
from trainables.data.samples import is_standardised, read_standardised, record_of
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.parts import observe_recordings


@dataclass(frozen=True, eq=False)
class Canonicalised:
    """Movements in canonical form, with the counts of those left out.

    Attributes:
        rows: Row numbers among the given movements.
        dropped: Reason -> number of movements left out.
    """

    canonical: Canonical
    rows: Int[Tensor, "M"]
    dropped: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.rows)


def canonicalise(movements: Movements, form: CanonicalConfig) -> Canonicalised:
    """Return the movements that the form can represent, in that form, by the same steps as recordings."""
    rows, dropped = usable(movements, form)
    return Canonicalised(encode(movements.take(rows), form), rows, {reason: n for reason, n in dropped.items() if n})


@dataclass(frozen=True, eq=False)
class Observed:
    """Movements after the observation model, the counts of those left out, and requested conditions, if known.

    Attributes:
        read: Number of movements before any is left out.
        dropped: Reason -> number of movements left out while reading.
        events: Reason -> number of raw events left out or cut at.
        requested: Conditions of each movement, columns as in `CONDITION_NAMES`.
        row_ids: Row of the evaluation conditions that each movement was made for, None where none is named.
        record: What the file says of its making; empty for a file made elsewhere.
    """

    movements: Movements
    read: int
    dropped: Mapping[str, int]
    events: Mapping[str, int]
    requested: Float[Tensor, "N D"] | None = None
    row_ids: tuple[str, ...] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def movements_of(splits: DataSplits, split: str, form: CanonicalConfig) -> Observed:
    """Return the movements of a split of a data set in the canonical form `form`."""
    movements = decode(splits[split], form)
    return Observed(movements, len(movements), {}, {})


def read_movements(path: Path) -> Observed:
    """Read the movements of a file and pass them through the observation model.

    Raises:
        ConfigError: An unknown suffix, or unusable conditions.
        RecordingError: Any other fault of the file, or a file without movements.
    """
    readers = ", ".join(MOVEMENT_READERS)
    require(path.suffix.lower() in MOVEMENT_READERS, f"`suffix of the file` in {{{readers}}}", str(path))
    if is_standardised(path):
        movements, requested = read_standardised(path)
        return Observed(movements, len(movements), {}, {}, requested, record=record_of(path))
    names_rows = has_row_ids(path)
    found = read_named_rows(path) if names_rows else MOVEMENT_READERS[path.suffix.lower()](path)
    if not found.recordings:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in found.dropped.items())
        raise RecordingError(f"{path}: the file contains no movement ({reasons or 'it is empty'})")
    observed = observe_recordings(found.recordings)
    row_ids = tuple(recording.user for recording in found.recordings) if names_rows else None
    counts = (found.read, found.dropped, found.repaired_events)
    return Observed(observed, *counts, _requested(path), row_ids, record_of(path))


def _read_table(path: Path) -> RecordingSet:
    return read_table(path, rule=SAMPLE_RULE)


def _read_array(path: Path) -> RecordingSet:
    """Read the movements of an array [N, P, 3]; each is a session of its own user, since an array names no users."""
    points = _load_array(path)
    present = np.logical_not(np.isnan(points).all(axis=2, keepdims=True))[:, :, 0]
    length = present.sum(axis=1)
    gap = present[:, 1:] & ~present[:, :-1]
    wrong = ~np.isfinite(points).all(axis=2) & present
    back = points[:, 1:, 0] < points[:, :-1, 0]  # no time is before NaN
    _refuse(path, gap, "rows of NaN at the end only", "points after one", "pad at the end")
    _refuse(path, wrong, "finite `t_ms`, `x` and `y`", "NaN or infinity", "leave out such points")
    _refuse(path, back, "`t_ms` not to decrease", "an earlier time after a later one", "sort the points by time")
    kept = np.flatnonzero(length >= 2).tolist()
    recordings = tuple(_recording(path.stem, row, points[row, : length[row]]) for row in kept)
    short = len(points) - len(kept)
    return RecordingSet(recordings, len(points), {"fewer than 2 points": short} if short else {})


def _recording(source: str, row: int, points: npt.NDArray[np.float64]) -> Recording:
    t_ms, x, y = points.T
    return Recording(t_ms - t_ms[0], x, y, source, f"{source}/{row}", str(row))


def _load_array(path: Path) -> npt.NDArray[np.float64]:
    if not path.exists():
        raise RecordingError(f"{path}: no such file or folder")
    try:
        points = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RecordingError(f"{path}: cannot be read as .npy: {str(error).splitlines()[0]}") from None
    if not isinstance(points, np.ndarray) or points.ndim != 3 or points.shape[2] != 3 or points.dtype.kind not in "fiu":
        got = f"{list(points.shape)} of {points.dtype}" if isinstance(points, np.ndarray) else "an archive"
        raise RecordingError(
            f"{path}: expected an array of movements to be numbers [N, P, 3] with (t_ms, x, y), but got {got}; "
            "of the sampling command's files, use samples.parquet"
        )
    return points.astype(np.float64)


def _refuse(path: Path, bad: npt.NDArray[np.bool_], law: str, got: str, remedy: str) -> None:
    """Raise for the first movement with a bad point; `bad` is [N, points]."""
    movements = np.flatnonzero(bad.any(axis=1))
    if len(movements):
        count = f"{len(movements)} such movement(s)"
        raise RecordingError(f"{path}, movement {movements[0]}: expected {law}, but got {got} ({count}); {remedy}")


MOVEMENT_READERS: dict[str, Callable[[Path], RecordingSet]] = {
    ".parquet": _read_table,
    ".csv": _read_table,
    ".npy": _read_array,
}


def _requested(path: Path) -> Float[Tensor, "N D"] | None:
    """Return the requested conditions of a Parquet table's movements (of at least 2 points), or None without any.

    Raises:
        ConfigError: Some conditions are missing, or a value is not finite (except an unknown width).
    """
    if path.suffix.lower() != ".parquet":
        return None
    named = [name for name in CONDITION_NAMES if name in pq.read_schema(path).names]
    if not named:
        return None
    law = f"all of {', '.join(MEASURED_CONDITIONS)}"
    require(set(MEASURED_CONDITIONS) <= set(named), law, f"{', '.join(named)} in {path}")
    table = pq.read_table(path, columns=["t_ms", *named])
    if not pa.types.is_nested(table.schema.field("t_ms").type):
        raise ConfigError(f"{path}: expected conditions in rows of movements, but got rows of events; leave them out")
    table = table.filter(pc.greater_equal(pc.list_value_length(table.column("t_ms")), 2))
    requested = torch.full((len(table), len(CONDITION_NAMES)), math.nan, dtype=torch.float64)
    for column, name in enumerate(named):
        values = table.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
        requested[:, column] = torch.from_numpy(values)
    measured, width = requested.tensor_split([len(MEASURED_CONDITIONS)], dim=1)
    finite = bool(measured.isfinite().all()) and not bool(width.isinf().any())
    require(finite, "`conditions` to be finite", f"NaN or infinity in a condition of {path}")
    return requested
