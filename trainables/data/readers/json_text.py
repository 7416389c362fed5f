"""JSON files: lines of objects, or a list of objects."""

import json
from typing import Any

from trainables.data.readers.files import InputFile
from trainables.data.readers.recording_set import RecordingError
from trainables.data.readers.rows import decoded, error_at, folded


def json_objects(file: InputFile) -> list[dict[str, Any]]:
    """Return the objects of a file: `json_rows` of one that ends in .json, else `json_lines`."""
    return json_rows(file) if file.suffix == ".json" else json_lines(file)


def json_lines(file: InputFile) -> list[dict[str, Any]]:
    """Return the objects of a file, one a line, with folded keys.

    Raises:
        RecordingError: A line that is no object, or no line.
    """
    lines = decoded(file.path, file.content()).rstrip().splitlines()
    if not lines:
        raise RecordingError(f"{file.path}: the file is empty")
    return [_object(file, number, line) for number, line in enumerate(lines, start=1)]


def _object(file: InputFile, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        row = None
    if not isinstance(row, dict):
        law = f"expected one JSON object per line, but got {line[:40]!r}"
        raise error_at(file.path, number, f"{law}; write one event or movement per line")
    return {folded(name): value for name, value in row.items()}


def json_rows(file: InputFile) -> list[dict[str, Any]]:
    """Return the objects of a file that holds a list of objects, or a list of such lists, with folded keys.

    Raises:
        RecordingError: The file holds something else.
    """
    text = decoded(file.path, file.content())
    if not text.strip():
        raise RecordingError(f"{file.path}: the file is empty")
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise RecordingError(f"{file.path}: cannot be read as JSON: {at}; export the file again") from error
    if isinstance(found, list) and found and all(isinstance(part, list) for part in found):
        found = [row for part in found for row in part]
    if not isinstance(found, list) or not found or not all(isinstance(row, dict) for row in found):
        got = f"{type(found).__name__} {text.strip()[:40]!r}"
        raise RecordingError(f"{file.path}: expected a list of JSON objects, but got {got}; export such a list")
    return [{folded(name): value for name, value in row.items()} for row in found]
