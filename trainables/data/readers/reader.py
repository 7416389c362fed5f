"""Record of a reader: its function, its files, and how its files are recognised."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainables.data.readers.recording_set import RecordingSet


@dataclass(frozen=True)
class ReaderOptions:
    """Options of readers, each a key of the configuration; a reader refuses those that it does not name."""

    time_unit: str = "ms"  # of the time stamps, a key of `times.MS_PER_UNIT`


@dataclass(frozen=True)
class Header:
    """Beginning of a file, from which its reader is recognised.

    Attributes:
        suffix: Of the file in lower case, before `.gz`.
        columns: Names of the columns, or keys of the objects, folded.
    """

    suffix: str
    columns: tuple[str, ...] = ()

    def has(self, *names: str) -> bool:
        """Return whether all names are columns."""
        return set(names) <= set(self.columns)


@dataclass(frozen=True)
class Reader:
    """One format of recordings.

    Attributes:
        read: Reads the movements of a path.
        about: One line of help.
        suffixes: Of the files that it reads from a folder.
        recognises: Returns why a file is of this format, empty where it is none.
        options: Names of the fields of `ReaderOptions` that it uses.
    """

    read: Callable[[Path | None, ReaderOptions], RecordingSet]
    about: str
    suffixes: tuple[str, ...] = ()
    recognises: Callable[[Header], str] = lambda header: ""
    options: frozenset[str] = frozenset()
