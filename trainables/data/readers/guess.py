"""Guess which reader a file or folder is for, from suffixes and columns; a doubt is an error, no choice."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from trainables.data.readers.files import RECORDING_SUFFIXES, InputFile, all_files
from trainables.data.readers.json_text import json_objects
from trainables.data.readers.reader import Header
from trainables.data.readers.recording_set import RecordingError
from trainables.data.readers.recordings import READERS
from trainables.data.readers.rows import decoded, first_line, folded, header_of

LOOKED_AT = 20  # files of a folder
SUFFIXES = (*RECORDING_SUFFIXES, ".json", "")  # session files of Balabit have none
SHOWN_COLUMNS = 12


class Guess(NamedTuple):
    """A reader's name, and why it was chosen."""

    name: str
    reason: str


def guess_reader(path: Path) -> Guess:
    """Return the reader of a file, of the files below a folder or in an archive, or of those that a glob matches.

    Raises:
        RecordingError: Nothing there, a file that no reader or more than one recognises, or files of several readers;
            with the candidates.
    """
    files = [file for file in all_files(path) if file.suffix in SUFFIXES][:LOOKED_AT]
    guesses = [guess for file in files if (guess := _guess(file, alone=len(files) == 1))]
    names = Counter(guess.name for guess in guesses)
    if len(names) == 1:
        return guesses[0]
    got = ", ".join(f"{count} of {name}" for name, count in sorted(names.items())) or "none"
    remedy = "name the files of one, or set `source`" if names else f"set `source`, one of {_choices()}"
    raise RecordingError(f"{path}: expected files that one reader recognises, but got {got}; {remedy}")


def _guess(file: InputFile, alone: bool) -> Guess | None:
    """Return the reader of a file; None for one of several files that none recognises, such as a list of labels."""
    header = header_of_file(file)
    reasons = {name: reason for name, reader in READERS.items() if (reason := reader.recognises(header))}
    if len(reasons) > 1:
        got = ", ".join(f"{name} ({reason})" for name, reason in reasons.items())
        raise RecordingError(f"{file.path}: expected a file that one reader recognises, but got {got}; set `source`")
    if reasons:
        name, reason = next(iter(reasons.items()))
        return Guess(name, reason)
    if alone:
        got = ", ".join(header.columns[:SHOWN_COLUMNS]) or f"suffix {header.suffix!r}"
        law = "expected a file that a reader recognises"
        raise RecordingError(f"{file.path}: {law}, but got {got}; set `source`, one of {_choices()}")
    return None


def _choices() -> str:
    return ", ".join(f"{name} ({reader.about})" for name, reader in READERS.items())


def header_of_file(file: InputFile) -> Header:
    """Return the beginning of a file.

    Raises:
        RecordingError: It is empty or cannot be read.
    """
    content = file.content()
    if file.suffix == ".parquet":
        try:
            names = pq.read_schema(pa.BufferReader(content)).names
        except (OSError, pa.ArrowException) as error:
            raise RecordingError(f"{file.path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error
        return Header(file.suffix, tuple(folded(name) for name in names))
    if file.suffix in (".json", ".jsonl"):
        return Header(file.suffix, tuple(dict.fromkeys(name for row in json_objects(file) for name in row)))
    if file.suffix == ".mt":
        return Header(file.suffix)
    _, columns = header_of(first_line(file.path, decoded(file.path, content)))
    return Header(file.suffix, tuple(folded(name) for name in columns))
