"""Logs of raw events, one a row (CSV), a line (JSON lines) or an object of a list (JSON): pynput, DOM pointer events.

Columns are found by the names that recorders use, see `TIME_COLUMNS` and the following. Times are of the unit
`time_unit`, from any origin: `performance.now()` and `event.timeStamp` are milliseconds with fractions, `Date.now()`
whole milliseconds since 1970, `time.time()` seconds, `time.time_ns()` nanoseconds.

Only moves make movements. Where the log has a type of event, a move between a press and a release is a drag; it and
every other event ends the movement before it and is counted. Where it says which pointer an event is of, only a mouse's
movements are kept. Without a column for the user it is the folder or the file, without one for the session the file.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from trainables.data.readers.event_rows import MOUSE, EventRows, movements_of_rows
from trainables.data.readers.files import InputFile, files_of
from trainables.data.readers.json_text import json_objects
from trainables.data.readers.reader import Header, Piece, Reader, ReaderOptions, pieces_of_files, read_all
from trainables.data.readers.recording_set import RecordingError, RecordingSet, concatenate
from trainables.data.readers.rows import numbered, numbers, read_csv, texts
from trainables.data.readers.segment import DEFAULT_RULE, MovementRule
from trainables.data.readers.stream import NOT_A_MOVE

TIME_COLUMNS = ("t_ms", "t", "time", "timestamp", "time_stamp", "ts", "time_ms", "timestamp_ms")
POSITION_COLUMNS = (
    ("x", "y"),
    ("clientx", "clienty"),
    ("pagex", "pagey"),
    ("screenx", "screeny"),
    ("mouse_x", "mouse_y"),
)
TYPE_COLUMNS = ("type", "event", "event_type", "eventtype", "state", "action", "kind")
POINTER_COLUMNS = ("pointer_type", "pointertype")
USER_COLUMNS, SESSION_COLUMNS = ("user", "user_id", "userid", "participant"), ("session", "session_id", "sessionid")
BUTTONS, PRESSED = "buttons", "pressed"  # of a DOM event: those that are held; of pynput's on_click: press or release
MOVES = ("move", "moved", "mousemove", "mouse_move", "on_move", "pointermove", "pointerrawupdate", "touchmove")
PRESSES = ("press", "pressed", "mousedown", "pointerdown", "touchstart")
RELEASES = ("release", "released", "mouseup", "pointerup", "pointercancel", "touchend", "touchcancel")
CLICKS = ("click", "on_click")
TOUCHES = "touch"  # how the types of touch events begin
SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")

BoolArray = npt.NDArray[np.bool_]


def read_events(
    path: Path | None, options: ReaderOptions | None = None, rule: MovementRule = DEFAULT_RULE
) -> RecordingSet:
    """Read a log of raw events, or every one of a folder.

    Raises:
        RecordingError: Nothing to read, no column of times or positions, no move, a value that is no number (with its
            row), or times of another unit.
    """
    return read_all(_pieces(path, options or ReaderOptions(), rule))


def _pieces(path: Path | None, options: ReaderOptions, rule: MovementRule = DEFAULT_RULE) -> Iterator[Piece]:
    return pieces_of_files(files_of(path, "events", SUFFIXES), partial(_read_file, options=options, rule=rule))


def _read_file(file: InputFile, options: ReaderOptions, rule: MovementRule) -> RecordingSet:
    frame = _frame(file)
    time = _required(file, frame, TIME_COLUMNS)
    x, y = _positions(file, frame)
    is_move, other = _moves(file, frame)
    names = _names(file, frame)
    before = other.groupby([names["user"], names["session"]], sort=False).cumsum()  # of the same stream
    frame, names = frame[is_move], names[is_move]
    if frame.empty:
        kind = _first(frame, TYPE_COLUMNS)
        law = f"expected moves in `{kind}` (one of {', '.join(MOVES)})"
        raise RecordingError(f"{file.path}: {law}, but got none; log moves, or remove the column")
    stamps, across, down = (numbers(file.path, frame, column) for column in (time, x, y))
    others = before[is_move].to_numpy(dtype=np.int64)
    rows = EventRows(file.path, names, stamps, across, down, by_touch=_by_touch(file, frame), others=others)
    found = movements_of_rows(rows, options, rule)
    left_out = int((~is_move).sum())
    counted = RecordingSet((), 0, {}, {NOT_A_MOVE: left_out} if left_out else {})
    return concatenate([found, counted])


def _frame(file: InputFile) -> pd.DataFrame:
    """Return the rows of a file; names and types are text."""
    if file.suffix in (".json", ".jsonl"):
        return numbered(file.path, pd.DataFrame(json_objects(file)), first_row=1)
    if file.suffix not in SUFFIXES:
        law = f"expected a log of events to end in {', '.join(SUFFIXES)}"
        raise RecordingError(f"{file.path}: {law}, but got {file.suffix!r}; rename it, or set another `source`")
    return read_csv(file, (), (*TYPE_COLUMNS, *POINTER_COLUMNS, *USER_COLUMNS, *SESSION_COLUMNS, PRESSED))


def _first(frame: pd.DataFrame, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in frame.columns), None)


def _required(file: InputFile, frame: pd.DataFrame, names: Sequence[str]) -> str:
    return _first(frame, names) or _refuse(file, frame, f"a column of times ({', '.join(names)})")


def _positions(file: InputFile, frame: pd.DataFrame) -> tuple[str, str]:
    """Return the first pair of columns of positions that is there."""
    found = next((pair for pair in POSITION_COLUMNS if {*pair} <= set(frame.columns)), None)
    pairs = ", ".join(f"{x} and {y}" for x, y in POSITION_COLUMNS)
    return found or _refuse(file, frame, f"two columns of positions ({pairs})")


def _refuse(file: InputFile, frame: pd.DataFrame, law: str) -> NoReturn:
    present = ", ".join(str(name) for name in frame.columns) or "none"
    raise RecordingError(f"{file.path}: expected {law}, but got {present}; rename those of the log in its header")


def _names(file: InputFile, frame: pd.DataFrame) -> pd.DataFrame:
    """Source, user and session of each row."""
    user, session = _first(frame, USER_COLUMNS), _first(frame, SESSION_COLUMNS)
    users = texts(file.path, frame, user) if user else file.user
    sessions = texts(file.path, frame, session) if session else file.stem
    return pd.DataFrame({"source": file.collection, "user": users, "session": sessions}, index=frame.index)


def _moves(file: InputFile, frame: pd.DataFrame) -> tuple[BoolArray, pd.Series]:
    """Return whether each row is a move of the free pointer, and whether it is another event."""
    column = _first(frame, TYPE_COLUMNS)
    if column is None:
        is_move = np.ones(len(frame), dtype=np.bool_)
        return is_move, pd.Series(~is_move, index=frame.index)
    kinds = texts(file.path, frame, column).str.strip().str.casefold()
    is_move = kinds.isin(MOVES).to_numpy(dtype=np.bool_) & ~_dragged(frame, kinds)
    return is_move, pd.Series(~is_move, index=frame.index)


def _dragged(frame: pd.DataFrame, kinds: pd.Series) -> BoolArray:
    """Return whether a button is held at each row: by the buttons of the event, else by the last press or release."""
    if BUTTONS in frame.columns:
        held: BoolArray = pd.to_numeric(frame[BUTTONS], errors="coerce").fillna(0).to_numpy() != 0
        return held
    pressed = kinds.isin(PRESSES)
    released = kinds.isin(RELEASES)
    if PRESSED in frame.columns:
        down = frame[PRESSED].astype(str).str.strip().str.casefold().isin(("true", "1", "1.0"))
        pressed |= kinds.isin(CLICKS) & down
        released |= kinds.isin(CLICKS) & ~down
    state = pd.Series(np.where(pressed, 1.0, np.where(released, 0.0, np.nan)), index=frame.index)
    down_since: BoolArray = state.ffill().fillna(0.0).to_numpy() == 1.0
    return down_since


def _by_touch(file: InputFile, frame: pd.DataFrame) -> BoolArray | None:
    """[P] Whether a move is of another pointer than a mouse; None where the log does not say so."""
    pointer, kind = _first(frame, POINTER_COLUMNS), _first(frame, TYPE_COLUMNS)
    if pointer:
        kinds = texts(file.path, frame, pointer).str.strip().str.casefold()
        return (kinds != MOUSE).to_numpy(dtype=np.bool_)
    if kind:
        touched = frame[kind].astype(str).str.strip().str.casefold().str.startswith(TOUCHES)
        return touched.to_numpy(dtype=np.bool_) if touched.any() else None
    return None


def _about(header: Header) -> str:
    time = next((name for name in TIME_COLUMNS if header.has(name)), None)
    position = next((pair for pair in POSITION_COLUMNS if header.has(*pair)), None)
    table = header.suffix != ".json" and header.has("t_ms", "x", "y", "user", "session")
    if header.suffix not in SUFFIXES or time is None or position is None or table:
        return ""
    return f"columns {time}, {', '.join(position)}"


EVENTS_READER = Reader(
    _pieces,
    "logs of raw events: pynput, DOM pointer events, epoch times",
    SUFFIXES,
    _about,
    frozenset({"time_unit"}),
)
