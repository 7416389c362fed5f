"""Rows of a file as arrays; every error names the file and the row.

Rows are numbered as an editor shows them: in a CSV file the header is row 1; a Parquet file has none, so that its first
row is row 1. The index of every frame made here holds these numbers. Empty lines at the end of a CSV file are no rows.
"""

import codecs
import csv
import io
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from trainables.data.readers.files import InputFile
from trainables.data.readers.recording_set import RecordingError

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+\s*")
LONGEST_LINE = 1_000_000  # characters of a header
WIDER_ROW = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")


def error_at(path: Path, row: int, law: str) -> RecordingError:
    """Return the error about one row."""
    return RecordingError(f"{path}, row {row}: {law}")


def require_columns(path: Path, present: Iterable[str], required: Iterable[str]) -> None:
    """Raise `RecordingError` with the columns that are missing and those that are there."""
    present = list(present)
    missing = [column for column in required if column not in present]
    if missing:
        raise RecordingError(f"{path}: missing column {', '.join(missing)}; present: {', '.join(present) or 'none'}")


def folded(name: object) -> str:
    """Return the name of a column as it is compared: without spaces around it, in lower case."""
    return str(name).strip().casefold()


def require_distinct(path: Path, names: Sequence[str]) -> None:
    """Raise `RecordingError` where two columns have one name after `folded`."""
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise RecordingError(
            f"{path}: expected each column once, but got {', '.join(twice)} twice; remove or rename one"
        )


def decoded(path: Path, content: bytes) -> str:
    """Return the text of a file in UTF-8, or in the encoding that its byte order mark names.

    Raises:
        RecordingError: It is of another encoding.
    """
    try:
        return content.decode(_encoding(content))
    except UnicodeError as error:
        law = "expected text in UTF-8, or in UTF-16 with a byte order mark"
        raise RecordingError(f"{path}: cannot be read as text: {law}, but got {error}; save it as UTF-8") from error


def _encoding(content: bytes) -> str:
    return next((name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8")


def first_line(path: Path, text: str) -> str:
    """Return the first line of a text.

    Raises:
        RecordingError: There is none.
    """
    lines = text[:LONGEST_LINE].splitlines()
    if not lines:
        raise RecordingError(f"{path}: the file is empty")
    return lines[0]


def header_of(line: str) -> tuple[str, list[str]]:
    """Return the separator of a header line, of all the one that gives most columns, and the columns as written."""
    split = {mark: next(csv.reader([line], delimiter=mark, skipinitialspace=True), []) for mark in SEPARATORS}
    separator = max(split, key=lambda mark: len(split[mark]))
    return separator, split[separator]


def read_csv(file: InputFile, required: Iterable[str], text: Iterable[str]) -> pd.DataFrame:
    """Read a CSV file in UTF-8 or with a byte order mark, of any line ends, separated by commas, semicolons or tabs.

    The header line shows the separator; its names are compared without spaces around them and in lower case, and are
    so in the frame. The columns `text` stay strings.

    Raises:
        RecordingError: unreadable, a missing column, a row of the wrong width, or no rows.
    """
    path, content = file.path, file.content()
    separator, header = header_of(first_line(path, decoded(path, content)))
    names = [folded(name) for name in header]
    require_columns(path, names, required)
    require_distinct(path, names)
    kept_text = set(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a longer row would lose its last values
            frame = pd.read_csv(
                io.BytesIO(content),
                sep=separator,
                encoding=_encoding(content),
                dtype={name: str for name in header if folded(name) in kept_text},
                keep_default_na=False,  # a user may be called NA
                na_values=[""],
                index_col=False,
                skip_blank_lines=False,  # row numbers are those of the file
                skipinitialspace=True,
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise RecordingError(f"{path}: cannot be read as CSV: {_about_width(str(error), separator)}") from error
    frame.columns = pd.Index(names)
    return numbered(path, _without_empty_end(frame), first_row=2)


def _about_width(message: str, separator: str) -> str:
    """Return the law about the width of rows that an error of pandas is about."""
    found = WIDER_ROW.search(message)
    if not found:
        got = "wider ones" if "Length of header" in message else " ".join(message.split())
        return f"expected rows as wide as the header, but got {got}; correct the file"
    wide, line, got = found.groups()
    remedy = f"quote values that hold a {SEPARATORS[separator]}, and write decimal points"
    return f"expected {wide} values in line {line}, as in the header, but got {got}; {remedy}"


def numbered(path: Path, frame: pd.DataFrame, first_row: int) -> pd.DataFrame:
    """The frame with its rows' numbers as the index.

    Raises:
        RecordingError: there are no rows.
    """
    if not len(frame):
        raise RecordingError(f"{path}: the file holds no rows")
    return frame.set_axis(pd.RangeIndex(first_row, first_row + len(frame)), axis=0)


def numbers(path: Path, frame: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """A column as finite numbers.

    Raises:
        RecordingError: the first value that is empty, not a number or not finite, with its row.
    """
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        first = int(np.argmax(bad))
        got = frame[column].iloc[first]
        row = int(frame.index[first])
        if DECIMAL_COMMA.fullmatch(str(got)):
            law = f"expected `{column}` with a decimal point, but got {str(got)!r}, a decimal comma"
            raise error_at(path, row, f"{law}; write points, as an export with English number format does")
        law = f"expected `{column}` to be a finite number, but got {'nothing' if pd.isna(got) else repr(str(got))}"
        raise error_at(path, row, law)
    return values


def positive_or_unknown(path: Path, frame: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """A column as finite numbers above 0, NaN where it is empty.

    Raises:
        RecordingError: the first other value, with its row.
    """
    filled, values = frame[column].notna().to_numpy(), np.full(len(frame), np.nan)
    values[filled] = numbers(path, frame[filled], column)
    wrong = values <= 0
    if wrong.any():
        first = int(np.argmax(wrong))
        law = f"expected `{column}` to be above 0, or empty where it is unknown, but got {values[first]:g}"
        raise error_at(path, int(frame.index[first]), law)
    return values


def texts(path: Path, frame: pd.DataFrame, column: str) -> pd.Series:
    """A column as strings.

    Raises:
        RecordingError: the first empty value, with its row.
    """
    found = frame[column].astype(str)
    missing = (frame[column].isna() | (found == "")).to_numpy()
    if missing.any():
        law = f"expected a value of `{column}`, but got nothing; fill it in or remove the row"
        raise error_at(path, int(frame.index[int(np.argmax(missing))]), law)
    return found


def reason_of(error: Exception) -> str:
    """Return the first line of an error of a library, or its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _without_empty_end(frame: pd.DataFrame) -> pd.DataFrame:
    filled = np.flatnonzero(frame.notna().any(axis=1).to_numpy())
    return frame.iloc[: filled[-1] + 1] if len(filled) else frame.iloc[:0]
