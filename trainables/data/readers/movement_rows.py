"""Tables with one row per movement, whose times and positions are lists.

Such movements are segmented already: they pass the rules for defects of recorders (`cleaning`) and no other; those of
fewer than 2 points are dropped and counted. The rules look at one movement at a time but for the edges of the screen,
which are those of a session. So the rows of a table may be read in parts, once the screens of all rows are known.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from trainables.data.config import PART
from trainables.data.readers.cleaning import (
    CLOCK_BACK,
    EDGE,
    SAME_TIME,
    SILENT_START,
    TOUCH,
    Screen,
    extremes_of,
    has_later_of_same_time,
    pressed_against_edge,
    screens_of,
    start_ms,
)
from trainables.data.readers.event_rows import NAMES, by_touch, require_non_decreasing
from trainables.data.readers.files import InputFile
from trainables.data.readers.list_columns import ListColumn
from trainables.data.readers.reader import ReaderOptions
from trainables.data.readers.recording_set import Recording, RecordingError, RecordingSet
from trainables.data.readers.rows import error_at, numbered
from trainables.data.readers.segment import DEFAULT_RULE, MovementRule, beginning
from trainables.data.readers.stream import aim_at
from trainables.data.readers.table_columns import SIGNAL, names_of, targets_of
from trainables.data.readers.times import in_ms, require_unit

TOO_SHORT = "fewer than 2 points"
DEFAULT_OPTIONS = ReaderOptions()

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RowPart:
    """Rows of a table that follow one another.

    Attributes:
        first_row: Number of the first one in the file, from 1.
        screens: [N, 4] Of each row, `cleaning.screens_of` over the whole table.
    """

    table: pa.Table
    first_row: int
    screens: FloatArray


def screens_of_rows(file: InputFile, tables: Iterable[pa.Table], options: ReaderOptions) -> FloatArray:
    """Return the screen of each row of a table that comes in parts [N, 4]: the edges that its session reaches.

    Raises:
        RecordingError: Lists of unequal length, a value that is no finite number, or an empty name, with its row; or
            times of another unit, by the first `PART` rows, however the table comes.
    """
    names, extremes, first_row = [], [], 1
    for table in tables:
        owners = names_of(file, _other_columns(file.path, table, first_row))
        stamps, x, y, bounds = _signal(file.path, table, first_row)
        if first_row == 1:
            of_first = int(bounds[min(PART, len(owners))])
            rows = np.repeat(np.arange(len(owners)), np.diff(bounds))[:of_first]
            require_unit(file.path, stamps[:of_first], np.diff(rows) == 0, options.time_unit)
        names.append(owners)
        extremes.append(extremes_of(x, y, bounds))
        first_row += len(owners)
    session = pd.concat(names).groupby([*NAMES], sort=False).ngroup().to_numpy().astype(np.int64)
    return screens_of(np.concatenate(extremes), session)


def read_movement_rows(
    file: InputFile,
    table: pa.Table,
    options: ReaderOptions = DEFAULT_OPTIONS,
    rule: MovementRule = DEFAULT_RULE,
) -> RecordingSet:
    """Take the movements of a whole table.

    Raises:
        RecordingError: Lists of unequal length, a value that is no finite number, times of another unit or, in samples,
            a time that decreases.
    """
    return read_row_part(file, RowPart(table, 1, screens_of_rows(file, [table], options)), options, rule)


def read_row_part(file: InputFile, part: RowPart, options: ReaderOptions, rule: MovementRule) -> RecordingSet:
    """Take the movements of a part of a table; raises as `read_movement_rows`."""
    path, frame = file.path, _other_columns(file.path, part.table, part.first_row)
    owners = list(names_of(file, frame).itertuples(index=False, name=None))
    target, touch = targets_of(path, frame), by_touch(path, frame)
    stamps, x, y, bounds = _signal(path, part.table, part.first_row)
    rows = np.repeat(frame.index.to_numpy(), np.diff(bounds))
    together = np.diff(rows) == 0
    t_ms = in_ms(stamps, options.time_unit)
    if not rule.recorded:
        require_non_decreasing(path, t_ms, together, rows, "movement")
    movements = _Movements(t_ms, x, y, bounds, owners, target)
    return _cleaned(movements, part.screens, touch) if rule.recorded else _as_they_are(movements)


def _other_columns(path: Path, table: pa.Table, first_row: int) -> pd.DataFrame:
    return numbered(path, table.select([c for c in table.column_names if c not in SIGNAL]).to_pandas(), first_row)


@dataclass(frozen=True, eq=False)
class _Movements:
    """Movements of a table with one row per movement, their P points one after another."""

    t_ms: FloatArray  # [P]
    x: FloatArray  # [P]
    y: FloatArray  # [P]
    bounds: IntArray  # [N + 1] where each begins
    owners: list[tuple[str, str, str]]  # [N] source, user, session
    target: FloatArray | None  # [N, 3]

    def __len__(self) -> int:
        return len(self.owners)

    def parts(self) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
        """Return times and positions of each movement."""
        return [(self.t_ms[a:b], self.x[a:b], self.y[a:b]) for a, b in pairwise(self.bounds.tolist())]

    def recording(self, row: int, t_ms: FloatArray, x: FloatArray, y: FloatArray) -> Recording:
        """Return a recording of the user, session and target of a row."""
        return Recording(t_ms - t_ms[0], x, y, *self.owners[row], *aim_at(self.target, row))

    def sums(self, of_events: npt.NDArray[np.bool_]) -> IntArray:
        """Return how many events of each movement are true."""
        total = np.concatenate([[0], np.cumsum(of_events)])
        counts: IntArray = total[self.bounds[1:]] - total[self.bounds[:-1]]
        return counts

    def at(self, events: BoolArray) -> "_Movements":
        """Return the movements with some of their events."""
        bounds = np.concatenate([[0], np.cumsum(self.sums(events))])
        return _Movements(self.t_ms[events], self.x[events], self.y[events], bounds, self.owners, self.target)


def _as_they_are(movements: _Movements) -> RecordingSet:
    parts = movements.parts()
    recordings = tuple(movements.recording(row, *part) for row, part in enumerate(parts) if len(part[0]) >= 2)
    short = len(parts) - len(recordings)
    return RecordingSet(recordings, len(parts), {TOO_SHORT: short} if short else {})


def _cleaned(movements: _Movements, screens: FloatArray, touch: BoolArray | None) -> RecordingSet:
    """Apply the rules for defects of recorders to movements that are segmented already."""
    extremes = extremes_of(movements.x, movements.y, movements.bounds)
    reaches_edge = (extremes == screens).any(axis=1)  # no other can be pressed against one
    repeated = has_later_of_same_time(movements.t_ms, _begins(movements))
    left_out = movements.sums(repeated)
    movements = movements.at(~repeated)
    backwards = _runs_back(movements)
    recordings, dropped, repaired = [], Counter[str](), Counter[str]()
    for row, (t_ms, x, y) in enumerate(movements.parts()):
        if touch is not None and touch[row]:
            reason = TOUCH
        elif len(t_ms) < 2:
            reason = TOO_SHORT
        elif backwards[row]:
            reason = CLOCK_BACK
        elif reaches_edge[row] and pressed_against_edge(t_ms, x, y, Screen(*screens[row].tolist())):
            reason = EDGE
        else:
            begin_ms = start_ms(t_ms, x, y)
            repaired[SAME_TIME] += int(left_out[row])
            repaired[SILENT_START] += int(begin_ms > t_ms[0])
            recordings.append(movements.recording(row, beginning(t_ms, begin_ms), x, y))
            continue
        dropped[reason] += 1
    return RecordingSet(tuple(recordings), len(movements), dict(dropped), dict(+repaired))


def _begins(movements: _Movements) -> BoolArray:
    """[P] Whether an event is the first of its movement."""
    begins = np.zeros(len(movements.t_ms), dtype=np.bool_)
    begins[movements.bounds[:-1][np.diff(movements.bounds) > 0]] = True
    return begins


def _runs_back(movements: _Movements) -> BoolArray:
    """[N] Whether a time of a movement lies before the one in front of it."""
    back = np.zeros(len(movements.t_ms), dtype=np.bool_)
    back[1:] = movements.t_ms[1:] < movements.t_ms[:-1]
    found: BoolArray = movements.sums(back & ~_begins(movements)) > 0
    return found


def _signal(path: Path, table: pa.Table, first_row: int) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """Return times and positions of all events [P] and where each row begins among them [N + 1]."""
    lists = {column: _lists(path, table, column, first_row) for column in SIGNAL}
    lengths = lists["t_ms"].lengths
    rows = np.repeat(np.arange(first_row, first_row + len(lengths)), lengths)
    for column, found in lists.items():
        _require_equal_lengths(path, lists["t_ms"], found, column, first_row)
        _require_finite(path, found, rows, column)
    t_ms, x, y = (lists[column].values for column in SIGNAL)
    return t_ms, x, y, lists["t_ms"].bounds


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type of Arrow is one of lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _lists(path: Path, table: pa.Table, column: str, first_row: int) -> ListColumn:
    values = table.column(column)
    if not is_list(values.type):
        law = "expected `t_ms`, `x` and `y` to be all lists (a row per movement) or all numbers (a row per event)"
        raise RecordingError(f"{path}: {law}, but got `{column}` of {values.type}; write all three alike")
    if values.null_count:
        row = int(np.argmax(pc.is_null(values).to_numpy())) + first_row
        raise error_at(path, row, f"expected `{column}` to be a list, but got nothing")
    kind = values.type.value_type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        law = f"expected `{column}` to hold lists of numbers"
        raise RecordingError(f"{path}: {law}, but got {values.type}; write numbers")
    return ListColumn.of(values)


def _require_equal_lengths(path: Path, times: ListColumn, found: ListColumn, column: str, first_row: int) -> None:
    differs = np.flatnonzero(times.lengths != found.lengths)
    if len(differs):
        first = int(differs[0])
        got = f"{found.lengths[first]} and {times.lengths[first]} values"
        raise error_at(path, first + first_row, f"expected `{column}` to be as long as `t_ms`, but got {got}")


def _require_finite(path: Path, found: ListColumn, rows: IntArray, column: str) -> None:
    bad = np.flatnonzero(~np.isfinite(found.values))
    if len(bad):
        first = int(bad[0])
        law = f"expected `{column}` to hold finite numbers, but got {found.values[first]}"
        raise error_at(path, int(rows[first]), law)
