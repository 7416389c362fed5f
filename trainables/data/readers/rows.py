"""Rows of a file as arrays; every error names the file and the row.

Rows are numbered as an editor shows them: in a CSV file the header is row 1; a Parquet file has none, so that its first
row is row 1. The index of every frame made here holds these numbers. Empty lines at the end of a CSV file are no rows.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from trainables.data.readers.recording_set import RecordingError


def error_at(path: Path, row: int, law: str) -> RecordingError:
    """Return the error about one row."""
    return RecordingError(f"{path}, row {row}: {law}")


def existing(path: Path | None, source: str) -> Path:
    """The path that a reader of files was given.

    Raises:
        RecordingError: there is none, or nothing lies there.
    """
    if path is None:
        raise RecordingError(f"expected a `path` with source={source}, but got none; add path=FILE")
    if not path.exists():
        raise RecordingError(f"{path}: no such file or folder")
    return path


def require_columns(path: Path, present: Iterable[str], required: Iterable[str]) -> None:
    """Raise `RecordingError` with the columns that are missing and those that are there."""
    present = list(present)
    missing = [column for column in required if column not in present]
    if missing:
        raise RecordingError(f"{path}: missing column {', '.join(missing)}; present: {', '.join(present) or 'none'}")


def read_csv(path: Path, required: Iterable[str], text: Iterable[str]) -> pd.DataFrame:
    """Read a CSV file (UTF-8 with or without a byte order mark, any line ends); the columns `text` stay strings.

    Raises:
        RecordingError: unreadable, a missing column, a row of the wrong width, or no rows.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a longer row would lose its last values
            frame = pd.read_csv(
                path,
                encoding="utf-8-sig",
                dtype=dict.fromkeys(text, str),
                keep_default_na=False,  # a user may be called NA
                na_values=[""],
                index_col=False,
                skip_blank_lines=False,  # row numbers are those of the file
                low_memory=False,
            )
    except pd.errors.EmptyDataError:
        raise RecordingError(f"{path}: the file is empty") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise RecordingError(f"{path}: cannot be read as CSV: {str(error).strip()}") from error
    require_columns(path, frame.columns, required)
    return numbered(path, _without_empty_end(frame), first_row=2)


def numbered(path: Path, frame: pd.DataFrame, first_row: int) -> pd.DataFrame:
    """The frame with its rows' numbers as the index.

    Raises:
        RecordingError: there are no rows.
    """
    if frame.empty:
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
        law = f"expected `{column}` to be a finite number, but got {'nothing' if pd.isna(got) else repr(str(got))}"
        raise error_at(path, int(frame.index[first]), law)
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
    missing = frame[column].isna().to_numpy()
    if missing.any():
        law = f"expected a value of `{column}`, but got nothing; fill it in or remove the row"
        raise error_at(path, int(frame.index[int(np.argmax(missing))]), law)
    return frame[column].astype(str)


def _without_empty_end(frame: pd.DataFrame) -> pd.DataFrame:
    filled = np.flatnonzero(frame.notna().any(axis=1).to_numpy())
    return frame.iloc[: filled[-1] + 1] if len(filled) else frame.iloc[:0]
