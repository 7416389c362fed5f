"""Tables of samples that name the recorded movement which each was made for, in a column `row_id`.

In a table of movements (Parquet, `t_ms, x, y` as lists) a row is a sample; in a table of events the events of one row
id, one after another, are one. Nothing is segmented, and no user and no session is needed.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.data.evaluation_rows import ROW_ID, require_once
from trainables.data.readers.event_rows import require_non_decreasing
from trainables.data.readers.files import InputFile, file_of
from trainables.data.readers.movement_rows import read_movement_rows
from trainables.data.readers.recording_set import RecordingError, RecordingSet
from trainables.data.readers.rows import numbered, numbers, read_csv, require_columns, texts
from trainables.data.readers.segment import SAMPLE_RULE
from trainables.data.readers.table_columns import SIGNAL

COLUMNS = (*SIGNAL, ROW_ID)


def has_row_ids(path: Path) -> bool:
    """Whether a table has a row id in any row; a file that cannot be read has none."""
    try:
        if path.suffix.lower() == ".parquet":
            named = ROW_ID in pq.read_schema(path).names
            return named and pq.read_table(path, columns=[ROW_ID])[ROW_ID].null_count < pq.read_metadata(path).num_rows
        if path.suffix.lower() == ".csv":
            return ROW_ID in pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns
    except (OSError, ValueError, pa.ArrowException):
        return False  # the reader of the file names the fault
    return False


def read_named_rows(path: Path) -> RecordingSet:
    """Read the samples of a table with row ids; the user of each recording is its row id.

    Raises:
        RecordingError: An unreadable file, a missing column, an empty row id, a value that is no finite number, or a
            time that decreases; with the row where there is one.
        ConfigError: A row id that is there twice.
    """
    file = file_of(path)
    table = _of_movements(path) if path.suffix.lower() == ".parquet" else None
    if table is None:
        table = _of_events(file)
    ids = table["user"].to_pylist()
    require_once(ids, path)
    return read_movement_rows(file, table, rule=SAMPLE_RULE)


def _of_movements(path: Path) -> pa.Table | None:
    """Return the table of a Parquet file with a row per movement, None for one with a row per event."""
    try:
        require_columns(path, pq.read_schema(path).names, COLUMNS)
        table = pq.read_table(path, columns=[*COLUMNS])
    except (OSError, pa.ArrowException) as error:
        raise RecordingError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from None
    if not any(pa.types.is_nested(table.schema.field(column).type) for column in SIGNAL):
        return None
    ids = texts(path, numbered(path, table.select([ROW_ID]).to_pandas(), first_row=1), ROW_ID)
    return _named(table.select([*SIGNAL]), ids.to_list())


def _of_events(file: InputFile) -> pa.Table:
    """Return the events of a table as lists, one row for all events of a row id that stand one after another."""
    path = file.path
    if file.suffix == ".csv":
        frame = read_csv(file, COLUMNS, (ROW_ID,))
    else:
        frame = numbered(path, pq.read_table(path, columns=[*COLUMNS]).to_pandas(), first_row=1)
    ids = texts(path, frame, ROW_ID).to_numpy()
    together = ids[1:] == ids[:-1]
    signal = {column: numbers(path, frame, column) for column in SIGNAL}
    require_non_decreasing(path, signal["t_ms"], together, frame.index.to_numpy(), "movement")
    starts = np.concatenate([[0], np.flatnonzero(~together) + 1])
    lists = {column: pa.array(np.split(values, starts[1:])) for column, values in signal.items()}
    return _named(pa.table(lists), ids[starts].tolist())


def _named(signal: pa.Table, ids: list[str]) -> pa.Table:
    """Return movements whose user and session are their row ids."""
    names = pa.array(ids, type=pa.string())
    return signal.append_column("user", names).append_column("session", names)
