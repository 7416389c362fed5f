"""Tables of one's own, CSV or Parquet by suffix, in one of two forms.

- One row per event: `t_ms, x, y, user, session`. The rows of one user and session, in the file's order, are a stream;
  it is cut into movements (see `segment`), also where the target changes. Streams may be interleaved. A session that
  was sampled too slowly is dropped as a whole and counted.
- One row per movement (Parquet): `t_ms, x, y` are lists. Such movements are segmented already and taken as
  they are; only those of fewer than 2 points are dropped and counted.

Either may have a `source`, both of `target_x, target_y`, and with these a `target_width`, above 0 or empty if unknown.
Times are milliseconds from any origin, positions pixels. A user is named "source/user" when there is a `source` column
and the name holds no "/", so that files of one collection agree with the readers of its raw sessions; without that
column the source is the file's stem, and users stay as they are.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainables.data.readers.recording_set import Recording, RecordingError, RecordingSet, concatenate
from trainables.data.readers.rows import (
    error_at,
    existing,
    numbered,
    numbers,
    positive_or_unknown,
    read_csv,
    require_columns,
    texts,
)
from trainables.data.readers.segment import DEFAULT_RULE, MovementRule
from trainables.data.readers.stream import Stream, aim_at, movements_of

SIGNAL = ("t_ms", "x", "y")
REQUIRED = (*SIGNAL, "user", "session")
NAMES = ("source", "user", "session")
TARGET = ("target_x", "target_y")
WIDTH = "target_width"
TOO_SHORT = "fewer than 2 points"

FloatArray = npt.NDArray[np.float64]


def read_table(path: Path | None, rule: MovementRule = DEFAULT_RULE) -> RecordingSet:
    """Read a table of events (CSV, Parquet) or of movements (Parquet).

    Raises:
        RecordingError: an unreadable or empty file, a missing column, a value that is no finite number, or a time that
            decreases; with the row where there is one.
    """
    path = existing(path, "table")
    if path.suffix.lower() == ".csv":
        return _read_events(path, read_csv(path, REQUIRED, NAMES), rule)
    if path.suffix.lower() == ".parquet":
        table = _read_parquet(path)
        if any(_is_list(table.schema.field(column).type) for column in SIGNAL):
            return read_movement_rows(path, table)
        return _read_events(path, numbered(path, table.to_pandas(), first_row=1), rule)
    raise RecordingError(f"{path}: expected a table to end in .csv or .parquet, but got {path.suffix!r}")


def _read_parquet(path: Path) -> pa.Table:
    try:
        present = pq.read_schema(path).names
        require_columns(path, present, REQUIRED)
        wanted = [column for column in (*REQUIRED, "source", *TARGET, WIDTH) if column in present]
        return pq.read_table(path, columns=wanted)
    except (OSError, pa.ArrowException) as error:
        raise RecordingError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _read_events(path: Path, frame: pd.DataFrame, rule: MovementRule) -> RecordingSet:
    """Cut the streams of a table with one row per event."""
    names = _names(path, frame)
    stream = names.groupby(list(NAMES), sort=False).ngroup().to_numpy()
    order = np.argsort(stream, kind="stable")  # streams may be interleaved
    together = np.diff(stream[order]) == 0
    t_ms, x, y = (numbers(path, frame, column)[order] for column in SIGNAL)
    require_non_decreasing(path, t_ms, together, frame.index.to_numpy()[order], "session")
    target, is_break = _targets(path, frame), np.zeros(len(order), dtype=np.bool_)
    if target is not None:
        target = target[order]
        is_break[1:] = (np.diff(np.nan_to_num(target), axis=0) != 0).any(axis=1) & together  # no width is 0

    bounds = [0, *(np.flatnonzero(~together) + 1).tolist(), len(order)]
    owners = names.iloc[order[bounds[:-1]]].itertuples(index=False, name=None)
    streams = (
        Stream(t_ms[a:b], x[a:b], y[a:b], is_break[a:b], source, user, session, None if target is None else target[a:b])
        for (a, b), (source, user, session) in zip(pairwise(bounds), owners, strict=True)
    )
    return concatenate(movements_of(stream, rule) for stream in streams)


def _targets(path: Path, frame: pd.DataFrame) -> FloatArray | None:
    """[P, 3] position and width of each row's target, the width NaN where unknown, or None when the table has none."""
    if not any(column in frame.columns for column in (*TARGET, WIDTH)):
        return None
    require_columns(path, frame.columns, TARGET)
    known = WIDTH in frame.columns
    width_px = positive_or_unknown(path, frame, WIDTH) if known else np.full(len(frame), np.nan)
    return np.stack([*(numbers(path, frame, column) for column in TARGET), width_px], axis=1)


def _names(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Source, user and session of each row, the user as the unit that a split may not cut."""
    user, session = texts(path, frame, "user"), texts(path, frame, "session")
    if "source" not in frame.columns:
        return pd.DataFrame({"source": path.stem, "user": user, "session": session})
    source = texts(path, frame, "source")
    # Balabit's users are written u7 in tables and user7 in its folders: one user needs one name.
    user = user.mask(source == "balabit", user.str.replace(r"^u(\d+)$", r"user\1", regex=True))
    user = user.where(user.str.contains("/", regex=False), source + "/" + user)
    return pd.DataFrame({"source": source, "user": user, "session": session})


def require_non_decreasing(
    path: Path, t_ms: FloatArray, together: npt.NDArray[np.bool_], rows: npt.NDArray[np.int64], unit: str
) -> None:
    """Raise at the first row whose time is before that of the row before it in the same `unit`."""
    back = np.flatnonzero((np.diff(t_ms) < 0) & together)
    if len(back):
        first = int(back[np.argmin(rows[back + 1])])
        law = f"expected `t_ms` not to decrease within a {unit}, but got {t_ms[first + 1]} after {t_ms[first]}"
        remedy = "sort the rows by time, or name another session where a clock starts anew"
        raise error_at(path, int(rows[first + 1]), f"{law}; {remedy}")


def read_movement_rows(path: Path, table: pa.Table) -> RecordingSet:
    """Take the movements of a table with one row per movement.

    Raises:
        RecordingError: Lists of unequal length, a value that is no finite number, or a time that decreases.
    """
    frame = numbered(path, table.select([c for c in table.column_names if c not in SIGNAL]).to_pandas(), first_row=1)
    names, target = _names(path, frame), _targets(path, frame)
    lists = {column: _lists(path, table, column) for column in SIGNAL}
    rows = np.repeat(np.arange(1, len(names) + 1), lists["t_ms"].lengths)
    for column, found in lists.items():
        _require_equal_lengths(path, lists["t_ms"], found, column)
        _require_finite(path, found, rows, column)
    t_ms, x, y = (lists[column].values for column in SIGNAL)
    require_non_decreasing(path, t_ms, np.diff(rows) == 0, rows, "movement")

    bounds = np.concatenate([[0], np.cumsum(lists["t_ms"].lengths)]).tolist()
    owners = names.itertuples(index=False, name=None)
    recordings = tuple(
        Recording(
            t_ms[start:stop] - t_ms[start], x[start:stop], y[start:stop], source, user, session, *aim_at(target, row)
        )
        for row, ((start, stop), (source, user, session)) in enumerate(zip(pairwise(bounds), owners, strict=True))
        if stop - start >= 2
    )
    short = len(names) - len(recordings)
    return RecordingSet(recordings, len(names), {TOO_SHORT: short} if short else {})


@dataclass(frozen=True, eq=False)
class _Lists:
    """A column of lists: N lengths, and the values of all rows one after another."""

    lengths: npt.NDArray[np.int64]
    values: FloatArray


def _lists(path: Path, table: pa.Table, column: str) -> _Lists:
    values = table.column(column)
    if not _is_list(values.type):
        law = "expected `t_ms`, `x` and `y` to be all lists (a row per movement) or all numbers (a row per event)"
        raise RecordingError(f"{path}: {law}, but got `{column}` of {values.type}; write all three alike")
    if values.null_count:
        row = int(np.argmax(pc.is_null(values).to_numpy())) + 1
        raise error_at(path, row, f"expected `{column}` to be a list, but got nothing")
    try:
        flat = pc.list_flatten(values).cast(pa.float64())
    except pa.ArrowException:
        raise RecordingError(f"{path}: expected `{column}` to hold lists of numbers, but got {values.type}") from None
    return _Lists(pc.list_value_length(values).to_numpy().astype(np.int64), flat.to_numpy())


def _require_equal_lengths(path: Path, times: _Lists, found: _Lists, column: str) -> None:
    differs = np.flatnonzero(times.lengths != found.lengths)
    if len(differs):
        first = int(differs[0])
        got = f"{found.lengths[first]} and {times.lengths[first]} values"
        raise error_at(path, first + 1, f"expected `{column}` to be as long as `t_ms`, but got {got}")


def _require_finite(path: Path, found: _Lists, rows: npt.NDArray[np.int64], column: str) -> None:
    bad = np.flatnonzero(~np.isfinite(found.values))
    if len(bad):
        first = int(bad[0])
        law = f"expected `{column}` to hold finite numbers, but got {found.values[first]}"
        raise error_at(path, int(rows[first]), law)
