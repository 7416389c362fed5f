"""Exports of experiments in OpenSesame and lab.js, most with the mousetrap plugin: one row per trial.

The cells of the columns `timestamps*`, `xpos*` and `ypos*` hold lists, in some exports of older scripts those of
`tTrajectory`, `xTrajectory` and `yTrajectory`. Their ends name the logger that recorded them:
where a trial was tracked by several loggers (`timestamps_initial_phase`, `timestamps_get_response`), their tracks are
joined in the order of their times, and of the equal time stamps at a seam the last holds. The origin of OpenSesame is
the centre of the screen, so that negative positions are normal; y points downwards. Rows without a track are other
screens of the experiment.

A column of `trials.PARTICIPANT_COLUMNS` names the user, else the folder or the file.

References: Mousetrap: An integrated, open-source mouse-tracking package (Kieslich & Henninger, 2017),
doi:10.3758/s13428-017-0900-z.
"""

from collections.abc import Iterable, Iterator
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
from trainables.data.readers.reader import Header, Piece, Reader, ReaderOptions, pieces_of_files, read_all
from trainables.data.readers.recording_set import FloatArray, RecordingError, RecordingSet
from trainables.data.readers.rows import error_at, read_csv

COLUMNS = (("timestamps", "xpos", "ypos"), ("ttrajectory", "xtrajectory", "ytrajectory"))  # how their names begin

Names = tuple[str, str, str]
SUFFIXES = (".csv", ".tsv")


def read_mousetrap(path: Path | None, options: ReaderOptions | None = None) -> RecordingSet:
    """Read an export of OpenSesame or lab.js, or every one of a folder.

    Raises:
        RecordingError: Nothing to read, a missing column, or a cell that is no list of numbers, with its row.
    """
    return read_all(_pieces(path, options or ReaderOptions()))


def _pieces(path: Path | None, options: ReaderOptions) -> Iterator[Piece]:
    return pieces_of_files(files_of(path, "mousetrap", SUFFIXES), _read_file)


def _read_file(file: InputFile) -> RecordingSet:
    frame = read_csv(file, (), (*PARTICIPANT_COLUMNS, *SESSION_COLUMNS))
    loggers = loggers_of(frame.columns)
    if not loggers:
        present = ", ".join(name for name in frame.columns if name) or "none"
        law = "expected columns timestamps*, xpos* and ypos* of one ending"
        raise RecordingError(f"{file.path}: {law}, but got {present}; set another `source`")
    return movements_of_trials(file.collection, _trials(file, frame, loggers))


def loggers_of(columns: Iterable[str]) -> list[Names]:
    """Return the columns of times and positions of each logger whose three columns are there."""
    present = list(columns)
    found = [
        (name, x + name.removeprefix(times), y + name.removeprefix(times))
        for times, x, y in COLUMNS
        for name in present
        if name.startswith(times)
    ]
    return [names for names in found if set(names) <= set(present)]


def _trials(file: InputFile, frame: pd.DataFrame, loggers: list[Names]) -> Iterator[Trial]:
    owners = TrialOwners(file, frame)
    for at, row in enumerate(frame.index.tolist()):
        tracks = [_track(file.path, row, frame, at, names) for names in loggers]
        filled = sorted((track for track in tracks if len(track[0])), key=lambda track: float(track[0][0]))
        if filled:
            t_ms, x, y = (np.concatenate(parts) for parts in zip(*filled, strict=True))
            yield Trial(*owners.of(at), t_ms, x, y)


def _track(path: Path, row: int, frame: pd.DataFrame, at: int, names: Names) -> list[FloatArray]:
    return [_numbers(path, row, name, frame[name].iloc[at]) for name in names]


def _numbers(path: Path, row: int, column: str, cell: Any) -> FloatArray:
    text = "" if pd.isna(cell) else str(cell).strip().strip("[]").strip()
    if text.casefold() in ("", "na", "none"):
        return np.empty(0)
    try:
        values = np.array(text.split(","), dtype=np.float64)
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        got = text if len(text) <= 40 else f"{text[:40]}..."
        raise error_at(path, row, f"expected `{column}` to be a list of numbers, but got {got!r}; correct the cell")
    return values


def _about(header: Header) -> str:
    return next((f"columns {', '.join(names)}" for names in loggers_of(header.columns)), "")


MOUSETRAP_READER = Reader(_pieces, "exports of OpenSesame and lab.js with lists in cells", SUFFIXES, _about)
