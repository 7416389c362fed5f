"""Unmodified session files of two public collections: the Balabit Mouse Dynamics Challenge and SapiMouse.

A session is a stream of mouse events. Only moves make movements: a press, a drag, a release or a wheel event ends the
one before it. Known defects of the files are handled by one rule each, and every event that a rule touches is counted:

- coordinates of 65535 (no position on any screen of the collections): the event is left out;
- a row that repeats the row before it in every column: left out;
- several moves in one millisecond: the last holds (their clocks tick in whole milliseconds);
- a clock that runs back (it wraps, or was set), edges of the screen, silent starts and touch: see `cleaning`;
  both collections record changes of the position alone, so that a silent start is a rest of the hand;
- a leap over 300 px within 60 ms: the stream is cut there;
- a session recorded more slowly than every 40 ms (seven of Balabit's ten users: about 109 ms): dropped as a whole.

References: Balabit Mouse Dynamics Challenge data set (Fülöp, Kovács, Kurics, Windhager-Pokol, 2016);
SapiMouse: Mouse Dynamics-based User Authentication Using Deep Feature Learning (Antal, Fejér, Buza, 2021).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from trainables.data.readers.files import InputFile, files_of
from trainables.data.readers.reader import Piece, Reader, pieces_of_files, read_all
from trainables.data.readers.recording_set import RecordingError, RecordingSet
from trainables.data.readers.rows import numbers, read_csv, texts
from trainables.data.readers.segment import DEFAULT_RULE, MovementRule
from trainables.data.readers.stream import NOT_A_MOVE, Stream, movements_of

NOWHERE_PX = 65535
DUPLICATE = "row repeats the row before"
NOWHERE = f"coordinate {NOWHERE_PX}"

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SessionLayout:
    """Layout of a collection's session files; the client's clock is the one that timed the pointer."""

    source: str
    columns: tuple[str, ...]
    files: str  # glob of session files below a folder
    clock_ms: float  # milliseconds per unit of `client timestamp`


BALABIT = SessionLayout(
    source="balabit",
    columns=("record timestamp", "client timestamp", "button", "state", "x", "y"),  # the record clock times packets
    files="session_*",
    clock_ms=1000.0,
)
SAPIMOUSE = SessionLayout(
    source="sapimouse",
    columns=("client timestamp", "button", "state", "x", "y"),
    files="session_*.csv",
    clock_ms=1.0,
)


def read_balabit(path: Path | None, rule: MovementRule = DEFAULT_RULE) -> RecordingSet:
    """Read a Balabit session file, or every `userN/session_*` below a folder; users are named "balabit/user7".

    Raises:
        RecordingError: nothing to read, or a file that is not such a session, with its row where it has one.
    """
    return read_all(_pieces(BALABIT, path, rule))


def read_sapimouse(path: Path | None, rule: MovementRule = DEFAULT_RULE) -> RecordingSet:
    """Read a SapiMouse session file, or every `userN/session_*.csv` below a folder; users are "sapimouse/user51".

    Raises:
        RecordingError: as `read_balabit`.
    """
    return read_all(_pieces(SAPIMOUSE, path, rule))


def _pieces(layout: SessionLayout, path: Path | None, rule: MovementRule = DEFAULT_RULE) -> Iterator[Piece]:
    files = files_of(path, layout.source, (), layout.files)
    return pieces_of_files(files, partial(_read_session, layout=layout, rule=rule))


def _read_session(file: InputFile, layout: SessionLayout, rule: MovementRule) -> RecordingSet:
    frame = read_csv(file, layout.columns, text=("button", "state"))
    return movements_of(_moves(layout, file, frame), rule)


def _owner(layout: SessionLayout, file: InputFile) -> tuple[str, str]:
    """User and session of a file `userN/session_ID`."""
    folder = file.path.resolve().parent.name
    if not re.fullmatch(r"user\d+", folder):
        law = "expected a session file to lie in a folder named userN"
        raise RecordingError(f"{file.path}: {law}, but got {folder!r}; name the folder so")
    return f"{layout.source}/{folder}", file.stem.removeprefix("session_")


def _moves(layout: SessionLayout, file: InputFile, frame: pd.DataFrame) -> Stream:
    """The usable moves of a session; a move after another event begins a new movement."""
    path = file.path
    t_ms = np.round(numbers(path, frame, "client timestamp") * layout.clock_ms)  # clocks tick in whole ms
    x, y = numbers(path, frame, "x"), numbers(path, frame, "y")
    is_move = (texts(path, frame, "state") == "Move").to_numpy(dtype=np.bool_)
    repeats = _repeats(frame, layout.columns)
    nowhere = ((x == NOWHERE_PX) | (y == NOWHERE_PX)) & is_move & ~repeats
    others = np.cumsum(~is_move)  # how many other events came before: equal for moves that follow one another

    rows = np.flatnonzero(is_move & ~repeats & ~nowhere)
    counts = {DUPLICATE: repeats, NOT_A_MOVE: ~is_move & ~repeats, NOWHERE: nowhere}
    user, session = _owner(layout, file)
    return Stream(
        t_ms=t_ms[rows],
        x=x[rows],
        y=y[rows],
        is_break=np.diff(others[rows], prepend=0) > 0,
        source=layout.source,
        user=user,
        session=session,
        repaired_events={reason: int(rows_hit.sum()) for reason, rows_hit in counts.items()},
    )


def _repeats(frame: pd.DataFrame, columns: Sequence[str]) -> BoolArray:
    """True where a row equals the row before it in every column."""
    values = frame[list(columns)]
    return (values == values.shift()).all(axis=1).to_numpy(dtype=np.bool_)


BALABIT_READER = Reader(
    lambda path, options: _pieces(BALABIT, path),
    "session files of the Balabit Mouse Dynamics Challenge",
    recognises=lambda header: "columns record timestamp, client timestamp" if header.has(*BALABIT.columns) else "",
)
SAPIMOUSE_READER = Reader(
    lambda path, options: _pieces(SAPIMOUSE, path),
    "session files of SapiMouse",
    recognises=lambda header: (
        "columns client timestamp, button, state"
        if header.has(*SAPIMOUSE.columns) and not header.has(*BALABIT.columns)
        else ""
    ),
)
