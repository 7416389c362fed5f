"""Recordings of users by source: the one entry of recorded movements.

    source        what is read                                            movements
    "cursory"     what the installed package carries; takes no path       as they are
    "balabit"     session files of the Balabit challenge, or a folder     cut from the stream
    "sapimouse"   session files of SapiMouse, or a folder                 cut from the stream
    "table"       a CSV or Parquet file of one's own                      cut from events, or as they are

The same user has the same `user` value in every source ("sapimouse/user64"), so that a split by user holds across them.
"""

from collections.abc import Callable
from pathlib import Path

from trainables.data.cursory import read_cursory
from trainables.data.raw import read_balabit, read_sapimouse
from trainables.data.recording_set import Recording, RecordingError, RecordingSet, concatenate, drop_table
from trainables.data.table import read_table

__all__ = [
    "READERS",
    "Recording",
    "RecordingError",
    "RecordingSet",
    "concatenate",
    "drop_table",
    "read_recordings",
]

READERS: dict[str, Callable[[Path | None], RecordingSet]] = {
    "cursory": read_cursory,
    "balabit": read_balabit,
    "sapimouse": read_sapimouse,
    "table": read_table,
}


def read_recordings(source: str, path: Path | None = None) -> RecordingSet:
    """Read the movements of a source.

    Raises:
        RecordingError: an unknown source, a path that is missing or not wanted, or whatever the reader finds wrong.
    """
    if source not in READERS:
        raise RecordingError(f"expected `source` to be one of {', '.join(READERS)}, but got {source!r}")
    return READERS[source](path)
