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

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trainables.core.config import require
from trainables.data.config import DataConfig, SourceConfig
from trainables.data.readers.cursory import read_cursory
from trainables.data.readers.formats.events import EVENTS_READER
from trainables.data.readers.formats.jspsych import JSPSYCH_READER
from trainables.data.readers.formats.mousetracker import MOUSETRACKER_READER
from trainables.data.readers.formats.mousetrap import MOUSETRAP_READER
from trainables.data.readers.left_out_users import require_left_out_users, without_users
from trainables.data.readers.raw import BALABIT_READER, SAPIMOUSE_READER
from trainables.data.readers.reader import Reader, ReaderOptions
from trainables.data.readers.recording_set import Recording, RecordingError, RecordingSet, concatenate, drop_table
from trainables.data.readers.table import PAGE_READER, TABLE_READER
from trainables.data.sources import TRAINED_ON_ONLY, laboratory_of

__all__ = [
    "READERS",
    "Recording",
    "RecordingError",
    "RecordingSet",
    "concatenate",
    "drop_table",
    "read_data",
    "read_recordings",
]

LEFT_OUT = "of a source that is left out"  # reason of a dropped movement
READERS: dict[str, Reader] = {
    "cursory": Reader(lambda path, options: read_cursory(path), "the recordings inside the installed package"),
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
    if source not in READERS:
        raise RecordingError(f"expected `source` to be one of {', '.join(READERS)}, but got {source!r}")
    reader = READERS[source]
    options = ReaderOptions(time_unit)
    for name, value in vars(options).items():
        if name not in reader.options and value != getattr(ReaderOptions, name):
            users = ", ".join(other for other, record in READERS.items() if name in record.options)
            law = f"expected no `{name}` with source={source}, whose files have one of their own"
            raise RecordingError(f"{law}, but got {name}={value}; leave it out (it is for {users})")
    return reader.read(path, options)


def read_data(config: DataConfig) -> RecordingSet:
    """Read the movements of a configuration, of one source or of several, without those that are left out.

    Raises:
        RecordingError: as `read_recordings`.
        ConfigError: a name for recordings that are trained on only, which would hide that; a source or user to
            leave out that has no recording, or no other.
    """
    if config.sources:
        found = concatenate(map(_read, config.sources))
    else:
        path = Path(config.path) if config.path else None
        found = read_recordings(config.source, path, time_unit=config.time_unit)
    require_left_out_users({recording.user for recording in found.recordings}, config.leave_out_users)
    found = without_users(found, config.leave_out_users)
    return without(found, config.leave_out) if config.leave_out else found


def without(found: RecordingSet, leave_out: Sequence[str]) -> RecordingSet:
    """Return the recordings without those of some sources or laboratories, which are counted as dropped.

    Raises:
        ConfigError: one of the names is of no recording, or every recording is left out.
    """
    names = {recording.source: {recording.source, laboratory_of(recording.source)} for recording in found.recordings}
    known = sorted(set().union(*names.values()))
    for name in leave_out:
        require(name in known, f"`leave_out` in {{{', '.join(known)}}}", name, "name a source that is read")
    kept = tuple(one for one in found.recordings if not names[one.source] & set(leave_out))
    require(bool(kept), "a source that is not left out", f"leave_out={', '.join(leave_out)}", "keep one of them")
    dropped = {**found.dropped, LEFT_OUT: len(found.recordings) - len(kept)}
    return replace(found, recordings=kept, dropped=dropped)


def _read(source: SourceConfig) -> RecordingSet:
    """Return the movements of one of several sources; a user without a "/" in the name is given the source's name."""
    path = Path(source.path) if source.path else None
    found = read_recordings(source.reader, path, time_unit=source.time_unit)
    if source.name is None:
        return found
    kept = sorted({recording.source for recording in found.recordings} & TRAINED_ON_ONLY.keys())
    law = f"no `name` for recordings of {', '.join(kept)}, which are trained on only"
    require(not kept, law, f"name={source.name}", "leave the name out")
    named = (
        replace(recording, source=source.name, user=_named(recording.user, source.name))
        for recording in found.recordings
    )
    return replace(found, recordings=tuple(named))


def _named(user: str, source: str) -> str:
    return user if "/" in user else f"{source}/{user}"
