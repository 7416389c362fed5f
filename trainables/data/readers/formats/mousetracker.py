"""Files of MouseTracker, `.mt`: one participant's session, one movement per trial.

The text has sections, each with a title, a header and one row per trial. Three of them are read: RAW TRACKS
(X coordinates), (Y coordinates) and (time), in pixels and milliseconds. A row begins with as many columns as the header
names, up to `timestamps`, and the track follows. The pointer is sampled regularly, at rest as well, so that a rest
inside a trial stays a part of the movement, and the ends are trimmed.

The user is the column `subjID`, the session the stem of the file, the source the folder or file that was read.

References: MouseTracker: Software for studying real-time mental processing using a computer mouse-tracking method
(Freeman & Ambady, 2010), doi:10.3758/BRM.42.1.226.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trainables.data.readers.files import InputFile, files_of
from trainables.data.readers.formats.trials import Trial, movements_of_trials
from trainables.data.readers.reader import Header, Piece, Reader, ReaderOptions, pieces_of_files, read_all
from trainables.data.readers.recording_set import FloatArray, RecordingError, RecordingSet
from trainables.data.readers.rows import error_at, folded

SUFFIX = ".mt"
SECTIONS = ("RAW TRACKS (time)", "RAW TRACKS (X coordinates)", "RAW TRACKS (Y coordinates)")
SUBJECT, ORDER, LAST = "subjid", "order", "timestamps"

Rows = dict[tuple[str, str], FloatArray]


def read_mousetracker(path: Path | None, options: ReaderOptions | None = None) -> RecordingSet:
    """Read a file of MouseTracker, or every one of a folder.

    Raises:
        RecordingError: Nothing to read, a section is missing, or a value is no number, with its line.
    """
    return read_all(_pieces(path, options or ReaderOptions()))


def _pieces(path: Path | None, options: ReaderOptions) -> Iterator[Piece]:
    return pieces_of_files(files_of(path, "mousetracker", (SUFFIX,)), _read_file)


def _read_file(file: InputFile) -> RecordingSet:
    lines = file.content().decode("utf-8-sig", errors="replace").splitlines()  # names of stimuli are not used
    times, xs, ys = (_section(file.path, lines, title) for title in SECTIONS)
    different = sorted(set(times) ^ set(xs) | set(times) ^ set(ys))
    if different:
        subject, order = different[0]
        law = "expected the same trials in the three sections RAW TRACKS"
        raise RecordingError(f"{file.path}: {law}, but got trial {order} of {subject} in some; export the file again")
    return movements_of_trials(file.collection, _trials(file, times, xs, ys))


def _trials(file: InputFile, times: Rows, xs: Rows, ys: Rows) -> Iterator[Trial]:
    for name, t_ms in times.items():
        yield Trial(name[0], file.stem, t_ms, xs[name], ys[name])


def _section(path: Path, lines: list[str], title: str) -> Rows:
    """Return the values of a section by subject and order of the trial."""
    at = next((number for number, line in enumerate(lines) if line.strip() == title), None)
    if at is None or at + 1 >= len(lines):
        raise RecordingError(f"{path}: expected a section {title!r}, but got none; export raw data from MouseTracker")
    header = [folded(name) for name in lines[at + 1].split(",")]
    for name in (SUBJECT, ORDER, LAST):
        if name not in header:
            raise RecordingError(
                f"{path}, row {at + 2}: expected a column {name} in {title!r}, but got none; export the file again"
            )
    subject, order, leading = header.index(SUBJECT), header.index(ORDER), header.index(LAST) + 1
    rows: Rows = {}
    for number, line in enumerate(lines[at + 2 :], start=at + 3):
        if not line.strip():
            break
        cells = line.split(",")
        rows[cells[subject], cells[order]] = _values(path, number, cells[leading:])
    return rows


def _values(path: Path, row: int, cells: list[str]) -> FloatArray:
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    try:
        values = np.array(cells, dtype=np.float64)
    except ValueError as error:
        raise error_at(path, row, f"expected numbers in a track, but got {error}; correct the row") from None
    if not np.isfinite(values).all():
        raise error_at(path, row, "expected finite numbers in a track, but got NaN or infinity; remove the row")
    return values


def _about(header: Header) -> str:
    return "suffix .mt" if header.suffix == SUFFIX else ""


MOUSETRACKER_READER = Reader(_pieces, "`.mt` files of MouseTracker", (SUFFIX,), _about)
