"""Recordings of users by source: the one entry of recorded movements.

    source          what is read                                                movements
    "cursory"       what the installed package carries; takes no path           as they are
    "balabit"       session files of the Balabit challenge                      cut from the stream
    "sapimouse"     session files of SapiMouse                                  cut from the stream
    "table"         CSV, Parquet or JSON lines of one's own                     cut from events, or rows
    "page"          files that the page of the service saves                    cut at targets
    "events"        logs of raw events: pynput, DOM pointer events              cut from the stream
    "mousetracker"  .mt files of MouseTracker                                   one per trial
    "mousetrap"     exports of OpenSesame and lab.js with the mousetrap plugin  one per trial, cut at pauses
    "jspsych"       exports of jsPsych with its mouse tracking extension        one per trial, cut at pauses

The same user has the same `user` value in every source ("sapimouse/user64"), so that a split by user holds across them.
Several sources are read one after the other.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from trainables.core.config import require
from trainables.data.config import DataConfig, SourceConfig
from trainables.data.readers.cursory import CURSORY_READER
from trainables.data.readers.files import paths_of
from trainables.data.readers.formats.events import EVENTS_READER
from trainables.data.readers.formats.jspsych import JSPSYCH_READER
from trainables.data.readers.formats.mousetracker import MOUSETRACKER_READER
from trainables.data.readers.formats.mousetrap import MOUSETRAP_READER
from trainables.data.readers.left_out import LeftOut
from trainables.data.readers.raw import BALABIT_READER, SAPIMOUSE_READER
from trainables.data.readers.reader import Piece, Reader, ReaderOptions, read_all
from trainables.data.readers.recording_set import Recording, RecordingError, RecordingSet, concatenate, drop_table
from trainables.data.readers.table import PAGE_READER, TABLE_READER
from trainables.data.sources import TRAINED_ON_ONLY

__all__ = [
    "READERS",
    "Recording",
    "RecordingError",
    "RecordingSet",
    "concatenate",
    "data_pieces",
    "drop_table",
    "read_data",
    "read_recordings",
]

READERS: dict[str, Reader] = {
    "cursory": CURSORY_READER,
    "balabit": BALABIT_READER,
    "sapimouse": SAPIMOUSE_READER,
    "table": TABLE_READER,
    "page": PAGE_READER,
    "events": EVENTS_READER,
    "mousetracker": MOUSETRACKER_READER,
    "mousetrap": MOUSETRAP_READER,
    "jspsych": JSPSYCH_READER,
}


def read_recordings(source: str, path: Path | None = None, *, time_unit: str = "ms") -> RecordingSet:
    """Read the movements of a source.

    Args:
        path: A file, a folder, a zip archive or a glob; None for the embedded recordings.
        time_unit: Of the time stamps in the files of `table` and `events`: ms, s, us or ns.

    Raises:
        RecordingError: an unknown source, a path that is missing or not wanted, an option of another reader, or
            whatever the reader finds wrong.
    """
    return read_all(pieces_of(source, path, time_unit))


def pieces_of(source: str, path: Path | None, time_unit: str) -> Iterable[Piece]:
    """Divide a source into pieces; arguments and errors as in `read_recordings`."""
    if source not in READERS:
        raise RecordingError(f"expected `source` to be one of {', '.join(READERS)}, but got {source!r}")
    reader = READERS[source]
    options = ReaderOptions(time_unit)
    for name, value in vars(options).items():
        if name not in reader.options and value != getattr(ReaderOptions, name):
            users = ", ".join(other for other, record in READERS.items() if name in record.options)
            law = f"expected no `{name}` with source={source}, whose files have one of their own"
            raise RecordingError(f"{law}, but got {name}={value}; leave it out (it is for {users})")
    return reader.pieces(path, options)


def read_data(config: DataConfig) -> RecordingSet:
    """Read the movements of a configuration, of one source or of several, without those that are left out.

    Raises:
        RecordingError: as `read_recordings`.
        ConfigError: a name for recordings that are trained on only, which would hide that; a source or user to
            leave out that has no recording, or no other.
    """
    found, left_out = read_all(data_pieces(config)), LeftOut.of(config)
    left_out.require_known(*({getattr(one, name) for one in found.recordings} for name in ("source", "user")))
    return left_out.without(found)


def data_files(config: DataConfig) -> list[Path]:
    """Return the files that a configuration reads: none for embedded recordings, all below a folder.

    Raises:
        RecordingError: A folder cannot be read.
    """
    return [file for path in config.paths for file in paths_of(path)]


def data_pieces(config: DataConfig) -> Iterator[Piece]:
    """Yield the pieces of a configuration, with the recordings that are to be left out."""
    alone = SourceConfig(config.source, config.path, time_unit=config.time_unit)
    for source in config.sources or (alone,):
        for piece in pieces_of(source.reader, Path(source.path) if source.path else None, source.time_unit):
            yield replace(piece, read=partial(_named, piece.read, source.name)) if source.name else piece


def _named(read: Callable[[], RecordingSet], name: str) -> RecordingSet:
    """Return recordings under another source; a user without a "/" in the name is given the source's name."""
    found = read()
    kept = sorted({recording.source for recording in found.recordings} & TRAINED_ON_ONLY.keys())
    law = f"no `name` for recordings of {', '.join(kept)}, which are trained on only"
    require(not kept, law, f"name={name}", "leave the name out")
    named = (
        replace(one, source=name, user=one.user if "/" in one.user else f"{name}/{one.user}")
        for one in found.recordings
    )
    return replace(found, recordings=tuple(named))
