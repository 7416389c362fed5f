"""Exports of jsPsych with its mouse tracking extension: CSV or JSON, one row or object per trial.

`mouse_tracking_data` is a list of {x, y, t}: pixels of the page from its upper left corner and milliseconds since the
trial began, in a CSV file as JSON in the cell. A point may have an `event`: only "mousemove" is a move, and a press or
release ends a movement. Nothing is sent while the pointer rests: a trial is cut at pauses. Rows without the list are
other screens of the experiment.

A column of `trials.PARTICIPANT_COLUMNS` names the user, else the folder or the file.

References: jsPsych: Enabling an open-source collaborative ecosystem of behavioral experiments (de Leeuw, Gilbert &
Luchterhandt, 2023), doi:10.21105/joss.05351.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trainables.data.readers.files import InputFile, files_of
from trainables.data.readers.formats.trials import (
    PARTICIPANT_COLUMNS,
    SESSION_COLUMNS,
    Trial,
    TrialOwners,
    movements_of_trials,
)
from trainables.data.readers.json_text import json_rows
from trainables.data.readers.reader import Header, Piece, Reader, ReaderOptions, pieces_of_files, read_all
from trainables.data.readers.recording_set import RecordingSet
from trainables.data.readers.rows import error_at, numbered, read_csv, require_columns

TRACK = "mouse_tracking_data"
MOVE = "mousemove"
SUFFIXES = (".csv", ".json")


def read_jspsych(path: Path | None, options: ReaderOptions | None = None) -> RecordingSet:
    """Read an export of jsPsych, or every one of a folder.

    Raises:
        RecordingError: Nothing to read, no column `mouse_tracking_data`, or a point without numbers, with its row.
    """
    return read_all(_pieces(path, options or ReaderOptions()))


def _pieces(path: Path | None, options: ReaderOptions) -> Iterator[Piece]:
    return pieces_of_files(files_of(path, "jspsych", SUFFIXES), _read_file)


def _read_file(file: InputFile) -> RecordingSet:
    if file.suffix == ".json":
        rows = json_rows(file)
        require_columns(file.path, dict.fromkeys(name for row in rows for name in row), (TRACK,))
        frame = numbered(file.path, pd.DataFrame(rows, dtype=object), first_row=1)
    else:
        frame = read_csv(file, (TRACK,), (*PARTICIPANT_COLUMNS, *SESSION_COLUMNS, TRACK))
    return movements_of_trials(file.collection, _trials(file, frame))


def _trials(file: InputFile, frame: pd.DataFrame) -> Iterator[Trial]:
    owners = TrialOwners(file, frame)
    for at, (row, cell) in enumerate(zip(frame.index.tolist(), frame[TRACK], strict=True)):
        points = _points(file.path, row, cell)
        if points:
            is_move = np.array([point.get("event", MOVE) == MOVE for point in points], dtype=np.bool_)
            values = np.array([_numbers(file.path, row, point) for point in points])
            others = np.cumsum(~is_move)[is_move]
            breaks = np.flatnonzero(np.diff(others, prepend=0)).tolist()
            t_ms, x, y = values[is_move].T
            yield Trial(*owners.of(at), t_ms, x, y, tuple(breaks), int((~is_move).sum()))


def _points(path: Path, row: int, cell: Any) -> Sequence[Any]:
    """Return the points of a cell, none where it is empty."""
    if isinstance(cell, str):
        try:
            cell = json.loads(cell) if cell.strip() else []
        except json.JSONDecodeError as error:
            raise error_at(path, row, f"expected `{TRACK}` to be a list, but got {cell[:40]!r}; {error.msg}") from None
    elif cell is None or isinstance(cell, float):
        return ()
    if not isinstance(cell, list) or not all(isinstance(point, dict) for point in cell):
        law = f"expected `{TRACK}` to be a list of points with x, y and t, but got {str(cell)[:40]!r}"
        raise error_at(path, row, f"{law}; correct the cell")
    return cell


def _numbers(path: Path, row: int, point: dict[str, Any]) -> tuple[float, float, float]:
    try:
        t_ms, x, y = (float(point[name]) for name in ("t", "x", "y"))
    except (KeyError, TypeError, ValueError):
        t_ms = x = y = np.nan
    if not np.isfinite([t_ms, x, y]).all():
        law = f"expected numbers x, y and t in each point of `{TRACK}`, but got {str(point)[:60]}"
        raise error_at(path, row, f"{law}; remove the point")
    return t_ms, x, y


def _about(header: Header) -> str:
    return f"column {TRACK}" if header.has(TRACK) else ""


JSPSYCH_READER = Reader(_pieces, "exports of jsPsych with its mouse tracking extension", SUFFIXES, _about)
