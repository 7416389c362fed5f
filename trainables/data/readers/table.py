"""Tables of one's own: CSV, Parquet or JSON lines by suffix, in one of two forms.

- One row per event: `t_ms, x, y, user, session`. The rows of one user and session, in the file's order, are a stream;
  it is cut into movements (see `segment`), also where the target changes. Streams may be interleaved. A session that
  was sampled too slowly is dropped as a whole and counted.
- One row per movement (Parquet, JSON lines): `t_ms, x, y` are lists. Such movements are segmented already: they pass
  the rules for defects of recorders (`cleaning`) and no other; those of fewer than 2 points are dropped and counted.

Either may have a `source`, both of `target_x, target_y`, with these a `target_width`, above 0 or empty if unknown, and
a `pointer_type`: what is not of a "mouse" is dropped and counted. Times are of the unit `time_unit` (milliseconds) from
any origin, positions pixels. A user is named "source/user" when there is a `source` column and the name holds no "/",
so that files of one collection agree with the readers of its raw sessions; without that column the source is the file's
stem or the folder's name, and users stay as they are. In a folder, columns `user` and `session` may be missing: see
`files`. A file that `python -m platform.data convert` wrote is read as it is (see `converted`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainables.data.readers.cleaning import (
    CLOCK_BACK,
    EDGE,
    SAME_TIME,
    SILENT_START,
    TOUCH,
    Screen,
    has_later_of_same_time,
    pressed_against_edge,
    screens_of,
    start_ms,
)
from trainables.data.readers.converted import read_converted
from trainables.data.readers.event_rows import (
    NAMES,
    POINTER,
    EventRows,
    by_touch,
    movements_of_rows,
    require_non_decreasing,
)
from trainables.data.readers.files import InputFile, files_of
from trainables.data.readers.json_text import json_lines
from trainables.data.readers.reader import Header, Reader, ReaderOptions
from trainables.data.readers.recording_set import Recording, RecordingError, RecordingSet, concatenate
from trainables.data.readers.rows import (
    error_at,
    folded,
    numbered,
    numbers,
    positive_or_unknown,
    read_csv,
    require_columns,
    require_distinct,
    texts,
)
from trainables.data.readers.segment import DEFAULT_RULE, MovementRule, beginning
from trainables.data.readers.stream import aim_at
from trainables.data.readers.times import to_ms

SIGNAL = ("t_ms", "x", "y")
OWNER = ("user", "session")
REQUIRED = (*SIGNAL, *OWNER)
TARGET = ("target_x", "target_y")
WIDTH = "target_width"
OPTIONAL = ("source", *TARGET, WIDTH, POINTER)
TOO_SHORT = "fewer than 2 points"
SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")
TEXT_SUFFIXES = (".csv", ".tsv")
PAGE_COLUMNS = (*SIGNAL, *NAMES, *TARGET, WIDTH)  # in the order of `csv` in serve/static/index.html
DEFAULT_OPTIONS = ReaderOptions()

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def read_table(
    path: Path | None, options: ReaderOptions = DEFAULT_OPTIONS, rule: MovementRule = DEFAULT_RULE
) -> RecordingSet:
    """Read tables of events or of movements.

    Raises:
        RecordingError: an unreadable or empty file, a missing column, a value that is no finite number, or times that
            are of another unit; with the row where there is one.
    """
    return concatenate(_read_file(file, options, rule) for file in files_of(path, "table", SUFFIXES))


def _read_file(file: InputFile, options: ReaderOptions, rule: MovementRule) -> RecordingSet:
    required = REQUIRED if file.alone else SIGNAL
    if file.suffix in TEXT_SUFFIXES:
        return _read_events(file, read_csv(file, required, (*NAMES, POINTER)), options, rule)
    if file.suffix not in SUFFIXES:
        law = f"expected a table to end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise RecordingError(f"{file.path}: {law}, but got {file.suffix!r}; rename it, or set another `source`")
    converted = read_converted(file, options.time_unit) if file.suffix == ".parquet" else None
    if converted is not None:
        return converted
    table = _parquet(file, required) if file.suffix == ".parquet" else _json_lines(file, required)
    if any(_is_list(table.schema.field(column).type) for column in SIGNAL):
        return read_movement_rows(file, table, options, rule)
    return _read_events(file, numbered(file.path, table.to_pandas(), first_row=1), options, rule)


def _parquet(file: InputFile, required: Sequence[str]) -> pa.Table:
    content = file.content()
    try:
        present = pq.read_schema(pa.BufferReader(content)).names
        names = [folded(name) for name in present]
        require_columns(file.path, names, required)
        require_distinct(file.path, names)
        wanted = [name for name in present if folded(name) in (*REQUIRED, *OPTIONAL)]
        table = pq.read_table(pa.BufferReader(content), columns=wanted)
    except (OSError, pa.ArrowException) as error:
        raise RecordingError(f"{file.path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error
    return table.rename_columns([folded(name) for name in table.column_names])


def _json_lines(file: InputFile, required: Sequence[str]) -> pa.Table:
    """Return the table of a file with one JSON object per line."""
    rows = json_lines(file)
    require_columns(file.path, dict.fromkeys(name for row in rows for name in row), required)
    columns = {}
    for name in (*REQUIRED, *OPTIONAL):
        values = [row.get(name) for row in rows]
        if any(value is not None for value in values):
            columns[name] = _column(file.path, name, values)
    return pa.table(columns)


def _column(path: Path, name: str, values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except pa.ArrowException:
        if name in OWNER:
            return pa.array([None if value is None else str(value) for value in values])
        kinds = ", ".join(sorted({type(value).__name__ for value in values}))
        law = f"expected `{name}` of one type in all lines, numbers or lists of numbers, but got {kinds}"
        raise RecordingError(f"{path}: {law}; correct the lines that differ") from None


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _read_events(file: InputFile, frame: pd.DataFrame, options: ReaderOptions, rule: MovementRule) -> RecordingSet:
    """Cut the streams of a table with one row per event."""
    path, names = file.path, names_of(file, frame)
    stamps, x, y = (numbers(path, frame, column) for column in SIGNAL)
    rows = EventRows(path, names, stamps, x, y, _targets(path, frame), by_touch(path, frame))
    return movements_of_rows(rows, options, rule)


def _targets(path: Path, frame: pd.DataFrame) -> FloatArray | None:
    """[P, 3] position and width of each row's target, the width NaN where unknown, or None when the table has none."""
    if not any(column in frame.columns for column in (*TARGET, WIDTH)):
        return None
    require_columns(path, frame.columns, TARGET)
    known = WIDTH in frame.columns
    width_px = positive_or_unknown(path, frame, WIDTH) if known else np.full(len(frame), np.nan)
    return np.stack([*(numbers(path, frame, column) for column in TARGET), width_px], axis=1)


def names_of(file: InputFile, frame: pd.DataFrame) -> pd.DataFrame:
    """Source, user and session of each row, the user as the unit that a split may not cut."""
    path = file.path
    user, session = (
        texts(path, frame, column) if column in frame.columns else pd.Series(stands_for, index=frame.index)
        for column, stands_for in zip(OWNER, (file.user, file.stem), strict=True)
    )
    if "source" not in frame.columns:
        return pd.DataFrame({"source": file.collection, "user": user, "session": session})
    source = texts(path, frame, "source")
    # Balabit's users are written u7 in tables and user7 in its folders: one user needs one name.
    user = user.mask(source == "balabit", user.str.replace(r"^u(\d+)$", r"user\1", regex=True))
    user = user.where(user.str.contains("/", regex=False), source + "/" + user)
    return pd.DataFrame({"source": source, "user": user, "session": session})


def read_movement_rows(
    file: InputFile, table: pa.Table, options: ReaderOptions = DEFAULT_OPTIONS, rule: MovementRule = DEFAULT_RULE
) -> RecordingSet:
    """Take the movements of a table with one row per movement.

    Raises:
        RecordingError: Lists of unequal length, a value that is no finite number, times of another unit or, in samples,
            a time that decreases.
    """
    path = file.path
    frame = numbered(path, table.select([c for c in table.column_names if c not in SIGNAL]).to_pandas(), first_row=1)
    names, target, touch = names_of(file, frame), _targets(path, frame), by_touch(path, frame)
    lists = {column: _lists(path, table, column) for column in SIGNAL}
    rows = np.repeat(np.arange(1, len(names) + 1), lists["t_ms"].lengths)
    for column, found in lists.items():
        _require_equal_lengths(path, lists["t_ms"], found, column)
        _require_finite(path, found, rows, column)
    together = np.diff(rows) == 0
    stamps, x, y = (lists[column].values for column in SIGNAL)
    t_ms = to_ms(path, stamps, together, options.time_unit)
    if not rule.recorded:
        require_non_decreasing(path, t_ms, together, rows, "movement")
    bounds = np.concatenate([[0], np.cumsum(lists["t_ms"].lengths)])
    owners = list(names.itertuples(index=False, name=None))
    movements = _Movements(t_ms, x, y, bounds, owners, target)
    return _as_they_are(movements) if not rule.recorded else _cleaned(movements, touch)


@dataclass(frozen=True, eq=False)
class _Movements:
    """Movements of a table with one row per movement, their P points one after another."""

    t_ms: FloatArray  # [P]
    x: FloatArray  # [P]
    y: FloatArray  # [P]
    bounds: npt.NDArray[np.int64]  # [N + 1] where each begins
    owners: list[tuple[str, str, str]]  # [N] source, user, session
    target: FloatArray | None  # [N, 3]

    def parts(self) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
        """Return times and positions of each movement."""
        return [(self.t_ms[a:b], self.x[a:b], self.y[a:b]) for a, b in pairwise(self.bounds.tolist())]

    def recording(self, row: int, t_ms: FloatArray, x: FloatArray, y: FloatArray) -> Recording:
        """Return a recording of the user, session and target of a row."""
        return Recording(t_ms - t_ms[0], x, y, *self.owners[row], *aim_at(self.target, row))


def _as_they_are(movements: _Movements) -> RecordingSet:
    parts = movements.parts()
    recordings = tuple(movements.recording(row, *part) for row, part in enumerate(parts) if len(part[0]) >= 2)
    short = len(parts) - len(recordings)
    return RecordingSet(recordings, len(parts), {TOO_SHORT: short} if short else {})


def _cleaned(movements: _Movements, touch: BoolArray | None) -> RecordingSet:
    """Apply the rules for defects of recorders to movements that are segmented already."""
    recordings, dropped, repaired = [], Counter[str](), Counter[str]()
    screens = _screens(movements)
    for row, (t_ms, x, y) in enumerate(movements.parts()):
        if touch is not None and touch[row]:
            dropped[TOUCH] += 1
            continue
        last = ~has_later_of_same_time(t_ms, np.zeros(len(t_ms), dtype=np.bool_))
        t_ms, x, y = t_ms[last], x[last], y[last]
        reason = _rejection(t_ms, x, y, screens[row])
        if reason:
            dropped[reason] += 1
            continue
        begin_ms = start_ms(t_ms, x, y)
        repaired += Counter({SAME_TIME: int((~last).sum()), SILENT_START: int(begin_ms > t_ms[0])})
        recordings.append(movements.recording(row, beginning(t_ms, begin_ms), x, y))
    return RecordingSet(tuple(recordings), len(movements.owners), dict(dropped), dict(repaired))


def _rejection(t_ms: FloatArray, x: FloatArray, y: FloatArray, screen: Screen) -> str | None:
    if len(t_ms) < 2:
        return TOO_SHORT
    if (np.diff(t_ms) < 0).any():
        return CLOCK_BACK
    return EDGE if pressed_against_edge(t_ms, x, y, screen) else None


def _screens(movements: _Movements) -> list[Screen]:
    """Return the screen of each movement, that of its user's session."""
    session, _ = pd.factorize(pd.Series(movements.owners))
    number = np.repeat(np.arange(len(session)), np.diff(movements.bounds))
    return screens_of(movements.x, movements.y, number, session.astype(np.int64))


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


def read_page(path: Path | None, options: ReaderOptions = DEFAULT_OPTIONS) -> RecordingSet:
    """Read files that the page of the service saved: one row per event, with the target; users are "page/NAME".

    Raises:
        RecordingError: as `read_table`, or a column of the page is missing.
    """
    files = files_of(path, "page", (".csv",))
    frames = ((file, read_csv(file, PAGE_COLUMNS, NAMES)) for file in files)
    return concatenate(_read_events(file, frame, options, DEFAULT_RULE) for file, frame in frames)


def _about_table(header: Header) -> str:
    own = header.has(*SIGNAL) and (header.suffix == ".parquet" or header.has(*OWNER)) and not _about_page(header)
    return f"columns {', '.join(SIGNAL)}" if own and header.suffix in SUFFIXES else ""


def _about_page(header: Header) -> str:
    own = header.suffix == ".csv" and header.columns == PAGE_COLUMNS
    return "the columns of the page of the service" if own else ""


TABLE_READER = Reader(
    read_table,
    "tables of one's own: CSV, Parquet, JSON lines; a row per event or per movement",
    SUFFIXES,
    _about_table,
    frozenset({"time_unit"}),
)
PAGE_READER = Reader(read_page, "files that the page of the service saves", (".csv",), _about_page)
