"""Record of a reader: its function, its files, and how its files are recognised.

A reader divides a data set into pieces, each of which is read by itself, in any process: a file, or some thousand
movements of a table. So a data set of any size can be read, a piece at a time or several at once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trainables.data.readers.files import InputFile
from trainables.data.readers.recording_set import RecordingSet, concatenate


@dataclass(frozen=True)
class Piece:
    """A part of a data set that is read by itself.

    Attributes:
        read: Returns its movements; can be sent to another process.
        size: Bytes that are read.
        stored: Bytes that they take in the file.
    """

    read: Callable[[], RecordingSet]
    size: int
    stored: int


def pieces_of_files(files: Iterable[InputFile], read: Callable[[InputFile], RecordingSet]) -> Iterator[Piece]:
    """Yield a piece for each file."""
    for file in files:
        yield Piece(partial(read, file), file.size, file.size)


def read_all(pieces: Iterable[Piece]) -> RecordingSet:
    """Read all pieces, in their order."""
    return concatenate(piece.read() for piece in pieces)


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
        pieces: Divides the data set of a path.
        about: One line of help.
        suffixes: Of the files that it reads from a folder.
        recognises: Returns why a file is of this format, empty where it is none.
        options: Names of the fields of `ReaderOptions` that it uses.
    """

    pieces: Callable[[Path | None, ReaderOptions], Iterable[Piece]]
    about: str
    suffixes: tuple[str, ...] = ()
    recognises: Callable[[Header], str] = lambda header: ""
    options: frozenset[str] = frozenset()
