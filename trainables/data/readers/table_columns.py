"""Columns of tables of one's own: which there are, and whose rows they are."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from trainables.data.readers.event_rows import POINTER
from trainables.data.readers.files import InputFile
from trainables.data.readers.rows import error_at, numbers, positive_or_unknown, require_columns, texts

SIGNAL = ("t_ms", "x", "y")
OWNER = ("user", "session")
REQUIRED = (*SIGNAL, *OWNER)
TARGET = ("target_x", "target_y")
WIDTH = "target_width"
OPTIONAL = ("source", *TARGET, WIDTH, POINTER)

FloatArray = npt.NDArray[np.float64]


def targets_of(path: Path, frame: pd.DataFrame) -> FloatArray | None:
    """[P, 3] position and width of each row's target, NaN where unknown, or None when the table has none.

    Raises:
        RecordingError: One coordinate alone, a width without a position, a value that is no number, or a width that is
            not above 0.
    """
    if not any(column in frame.columns for column in (*TARGET, WIDTH)):
        return None
    require_columns(path, frame.columns, TARGET)
    known = WIDTH in frame.columns
    width_px = positive_or_unknown(path, frame, WIDTH) if known else np.full(len(frame), np.nan)
    known_at = frame[[*TARGET]].notna().to_numpy()
    given = np.column_stack([known_at, np.isfinite(width_px)])
    wrong = np.flatnonzero(~known_at.all(axis=1) & given.any(axis=1))
    if len(wrong):
        law = f"expected both of {', '.join(TARGET)} where one of them or `{WIDTH}` is given, but got an empty one"
        raise error_at(path, int(frame.index[int(wrong[0])]), f"{law}; fill both in or leave all three empty")
    found, filled = np.full((len(frame), 3), np.nan), known_at.all(axis=1)
    those = frame.iloc[np.flatnonzero(filled)]
    found[filled, :2] = np.stack([numbers(path, those, column) for column in TARGET], axis=1)
    found[:, 2] = width_px
    return found if filled.any() else None


def names_of(file: InputFile, frame: pd.DataFrame) -> pd.DataFrame:
    """Source, user and session of each row, the user as the unit that a split may not cut.

    Raises:
        RecordingError: An empty name, with its row.
    """
    path = file.path
    user, session = (
        texts(path, frame, column) if column in frame.columns else pd.Series(stands_for, index=frame.index)
        for column, stands_for in zip(OWNER, (file.user, file.stem), strict=True)
    )
    if "source" not in frame.columns:
        return pd.DataFrame({"source": file.collection, "user": user, "session": session})
    source = texts(path, frame, "source")
    # Balabit's users are written u7 in tables and user7 in its folders: one user needs one name.
    user = user.mask(source == "balabit", user.str.replace(r"^u(\d+)$", r"user\1", regex=True))
    user = user.where(user.str.contains("/", regex=False), source + "/" + user)
    return pd.DataFrame({"source": source, "user": user, "session": session})
