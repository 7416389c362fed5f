"""Rows of events, one a move: separated into the streams of users and sessions, and cut into movements."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from trainables.data.readers.reader import ReaderOptions
from trainables.data.readers.recording_set import FloatArray, RecordingSet, concatenate
from trainables.data.readers.rows import error_at, texts
from trainables.data.readers.segment import MovementRule
from trainables.data.readers.stream import Stream, movements_of
from trainables.data.readers.times import to_ms

NAMES = ("source", "user", "session")
POINTER = "pointer_type"
MOUSE = "mouse"

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EventRows:
    """The moves of a file in its order, P of them; those of several users and sessions may be interleaved."""

    path: Path
    names: pd.DataFrame  # [P] source, user, session; its index holds the rows of the file
    stamps: FloatArray  # [P] in the unit of the file
    x: FloatArray  # [P] px
    y: FloatArray  # [P] px
    target: FloatArray | None = None  # [P, 3] px: x, y and width, NaN where unknown; another one begins a movement
    by_touch: BoolArray | None = None  # [P] None where the recorder does not say so
    others: IntArray | None = None  # [P] events before a move that are none; another number begins a movement


def movements_of_rows(rows: EventRows, options: ReaderOptions, rule: MovementRule) -> RecordingSet:
    """Return the movements of all streams, in the order of their first events.

    Raises:
        RecordingError: The times are of another unit or, in samples, a time decreases.
    """
    stream = rows.names.groupby(list(NAMES), sort=False).ngroup().to_numpy()
    order = np.argsort(stream, kind="stable")
    together = np.diff(stream[order]) == 0
    t_ms = to_ms(rows.path, rows.stamps[order], together, options.time_unit)
    if not rule.recorded:
        require_non_decreasing(rows.path, t_ms, together, rows.names.index.to_numpy()[order], "session")
    is_break = _breaks(rows, order) & np.append(False, together)
    bounds = [0, *(np.flatnonzero(~together) + 1).tolist(), len(order)]
    owners = rows.names.iloc[order[bounds[:-1]]].itertuples(index=False, name=None)
    streams = (
        Stream(
            *(t_ms[a:b], rows.x[order[a:b]], rows.y[order[a:b]], is_break[a:b]),
            *(source, user, session),
            None if rows.target is None else rows.target[order[a:b]],
            None if rows.by_touch is None else rows.by_touch[order[a:b]],
        )
        for (a, b), (source, user, session) in zip(pairwise(bounds), owners, strict=True)
    )
    return concatenate(movements_of(stream, rule) for stream in streams)


def _breaks(rows: EventRows, order: IntArray) -> BoolArray:
    """[P] Whether target, pointer or number of other events differ from those of the event before, in `order`."""
    is_break = np.zeros(len(order), dtype=np.bool_)
    if rows.target is not None:
        here, before = rows.target[order][1:], rows.target[order][:-1]
        is_break[1:] |= ((here != before) & ~(np.isnan(here) & np.isnan(before))).any(axis=1)
    for column in (rows.by_touch, rows.others):
        if column is not None:
            is_break[1:] |= column[order][1:] != column[order][:-1]
    return is_break


def by_touch(path: Path, frame: pd.DataFrame, column: str = POINTER) -> BoolArray | None:
    """[P] Whether a row is of another pointer than a mouse; None where there is no column that says so.

    Raises:
        RecordingError: An empty value, with its row.
    """
    if column not in frame.columns:
        return None
    kinds = texts(path, frame, column).str.strip().str.casefold()
    return (kinds != MOUSE).to_numpy(dtype=np.bool_)


def require_non_decreasing(path: Path, t_ms: FloatArray, together: BoolArray, rows: IntArray, unit: str) -> None:
    """Raise at the first row whose time is before that of the row before it in the same `unit`."""
    back = np.flatnonzero((np.diff(t_ms) < 0) & together)
    if len(back):
        first = int(back[np.argmin(rows[back + 1])])
        law = f"expected `t_ms` not to decrease within a {unit}, but got {t_ms[first + 1]} after {t_ms[first]}"
        remedy = "sort the rows by time, or name another session where a clock starts anew"
        raise error_at(path, int(rows[first + 1]), f"{law}; {remedy}")
