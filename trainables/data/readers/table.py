"""Tables of one's own: CSV, Parquet or JSON lines by suffix, in one of two forms.

- One row per event: `t_ms, x, y, user, session`. The rows of one user and session, in the order of a file, are a
  stream; it is cut into movements (see `segment`), also where the target changes. Streams may be interleaved. A
  session that was sampled too slowly is dropped as a whole and counted.
- One row per movement (Parquet, JSON lines): `t_ms, x, y` are lists. Such movements are segmented already, see
  `movement_rows`. A Parquet file of them is read `PART` rows at a time, whatever its size; any other file as a
  whole.

Either may have a `source`, both of `target_x, target_y`, with these a `target_width`, above 0 or empty if unknown, and
a `pointer_type`: what is not of a "mouse" is dropped and counted. Times are of the unit `time_unit` (milliseconds) from
any origin, positions pixels. A user is named "source/user" when there is a `source` column and the name holds no "/",
so that files of one collection agree with the readers of its raw sessions; without that column the source is the file's
stem or the folder's name, and users stay as they are. In a folder, columns `user` and `session` may be missing: see
`files`. A file that `python -m platform.data convert` wrote is read as it is (see `converted`).
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.data.config import PART
from trainables.data.readers.converted import account_of, pieces_of_converted
from trainables.data.readers.event_rows import NAMES, POINTER, EventRows, by_touch, movements_of_rows
from trainables.data.readers.files import InputFile, files_of
from trainables.data.readers.json_text import json_lines
from trainables.data.readers.movement_rows import (
    DEFAULT_OPTIONS,
    RowPart,
    is_list,
    read_movement_rows,
    read_row_part,
    screens_of_rows,
)
from trainables.data.readers.reader import Header, Piece, Reader, ReaderOptions, pieces_of_files, read_all
from trainables.data.readers.recording_set import RecordingError, RecordingSet
from trainables.data.readers.rows import (
    folded,
    numbered,
    numbers,
    read_csv,
    reason_of,
    require_columns,
    require_distinct,
)
from trainables.data.readers.segment import DEFAULT_RULE, MovementRule
from trainables.data.readers.table_columns import (
    OPTIONAL,
    OWNER,
    REQUIRED,
    SIGNAL,
    TARGET,
    WIDTH,
    names_of,
    targets_of,
)

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")
TEXT_SUFFIXES = (".csv", ".tsv")
PAGE_COLUMNS = (*SIGNAL, *NAMES, *TARGET, WIDTH)  # in the order of `csv` in serve/static/index.html
READ_BYTES = 2**20  # that are read at a time of a column


def read_table(
    path: Path | None, options: ReaderOptions = DEFAULT_OPTIONS, rule: MovementRule = DEFAULT_RULE
) -> RecordingSet:
    """Read tables of events or of movements.

    Raises:
        RecordingError: an unreadable or empty file, a missing column, a value that is no finite number, or times that
            are of another unit; with the row where there is one.
    """
    return read_all(_pieces(path, options, rule))


def _pieces(path: Path | None, options: ReaderOptions, rule: MovementRule = DEFAULT_RULE) -> Iterator[Piece]:
    for file in files_of(path, "table", SUFFIXES):
        parquet = _parquet(file) if file.suffix == ".parquet" else None
        account = None if parquet is None else account_of(file.path, parquet.metadata)
        if parquet is not None and account is not None:
            yield from pieces_of_converted(file, parquet, account, options.time_unit)
        elif parquet is not None and _holds_lists(parquet.schema_arrow):
            yield from _pieces_of_rows(file, parquet, options, rule)
        else:
            yield Piece(partial(_read_file, file, options, rule), file.size, file.size)


def _pieces_of_rows(
    file: InputFile, parquet: pq.ParquetFile, options: ReaderOptions, rule: MovementRule
) -> Iterator[Piece]:
    """Yield the rows of a table of movements, `PART` at a time, each with the screen of its session."""
    first_row, screens = 1, screens_of_rows(file, _tables(file, parquet), options)
    for table in _tables(file, parquet):
        part = RowPart(table, first_row, screens[first_row - 1 : first_row - 1 + len(table)])
        stored = file.size * len(table) // len(screens)
        yield Piece(partial(read_row_part, file, part, options, rule), table.nbytes, stored)
        first_row += len(table)


def _tables(file: InputFile, parquet: pq.ParquetFile) -> Iterator[pa.Table]:
    """Yield the columns that are read of a Parquet file, `PART` rows at a time, under their folded names.

    Raises:
        RecordingError: A missing column, two of one name, no row, or a damaged file.
    """
    present = parquet.schema_arrow.names
    names = [folded(name) for name in present]
    require_columns(file.path, names, _required(file))
    require_distinct(file.path, names)
    wanted = [name for name in present if folded(name) in (*REQUIRED, *OPTIONAL)]
    if not parquet.metadata.num_rows:
        raise RecordingError(f"{file.path}: the file holds no rows")
    _require_plain_names(file, parquet.schema_arrow)
    try:
        for batch in parquet.iter_batches(PART, columns=wanted):
            table = pa.Table.from_batches([batch])
            yield table.rename_columns([folded(name) for name in table.column_names])
    except (OSError, pa.ArrowException) as error:
        raise _no_parquet(file, error) from error


def _require_plain_names(file: InputFile, schema: pa.Schema) -> None:
    for field in schema:
        if folded(field.name) in NAMES and pa.types.is_nested(field.type):
            law = f"expected `{folded(field.name)}` to hold one text in a row"
            raise RecordingError(f"{file.path}: {law}, but got {field.type}; write the name alone")


def _parquet(file: InputFile) -> pq.ParquetFile:
    try:
        source = pa.OSFile(str(file.path)) if file.is_plain else pa.BufferReader(file.content())
        return pq.ParquetFile(source, buffer_size=READ_BYTES)
    except (OSError, pa.ArrowException) as error:
        raise _no_parquet(file, error) from error


def _no_parquet(file: InputFile, error: Exception) -> RecordingError:
    return RecordingError(f"{file.path}: cannot be read as Parquet: {reason_of(error)}")


def _required(file: InputFile) -> Sequence[str]:
    return REQUIRED if file.alone else SIGNAL


def _holds_lists(schema: pa.Schema) -> bool:
    return any(folded(field.name) in SIGNAL and is_list(field.type) for field in schema)


def _read_file(file: InputFile, options: ReaderOptions, rule: MovementRule) -> RecordingSet:
    """Read a file as a whole."""
    if file.suffix in TEXT_SUFFIXES:
        return _read_events(file, read_csv(file, _required(file), (*NAMES, POINTER)), options, rule)
    if file.suffix not in SUFFIXES:
        law = f"expected a table to end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise RecordingError(f"{file.path}: {law}, but got {file.suffix!r}; rename it, or set another `source`")
    if file.suffix == ".parquet":
        table = pa.concat_tables(_tables(file, _parquet(file)))
    else:
        table = _json_lines(file, _required(file))
        _require_plain_names(file, table.schema)
    if _holds_lists(table.schema):
        return read_movement_rows(file, table, options, rule)
    return _read_events(file, numbered(file.path, table.to_pandas(), first_row=1), options, rule)


def _json_lines(file: InputFile, required: Sequence[str]) -> pa.Table:
    """Return the table of a file with one JSON object per line."""
    rows = json_lines(file)
    require_columns(file.path, dict.fromkeys(name for row in rows for name in row), required)
    columns = {}
    for name in (*REQUIRED, *OPTIONAL):
        values = [row.get(name) for row in rows]
        if any(value is not None for value in values):
            columns[name] = _column(file.path, name, values)
    return pa.table(columns)


def _column(path: Path, name: str, values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except pa.ArrowException:
        if name in OWNER:
            return pa.array([None if value is None else str(value) for value in values])
        kinds = ", ".join(sorted({type(value).__name__ for value in values}))
        law = f"expected `{name}` of one type in all lines, numbers or lists of numbers, but got {kinds}"
        raise RecordingError(f"{path}: {law}; correct the lines that differ") from None


def _read_events(file: InputFile, frame: pd.DataFrame, options: ReaderOptions, rule: MovementRule) -> RecordingSet:
    """Cut the streams of a table with one row per event."""
    path, names = file.path, names_of(file, frame)
    stamps, x, y = (numbers(path, frame, column) for column in SIGNAL)
    rows = EventRows(path, names, stamps, x, y, targets_of(path, frame), by_touch(path, frame))
    return movements_of_rows(rows, options, rule)


def read_page(path: Path | None, options: ReaderOptions = DEFAULT_OPTIONS) -> RecordingSet:
    """Read files that the page of the service saved: one row per event, with the target; users are "page/NAME".

    Raises:
        RecordingError: as `read_table`, or a column of the page is missing.
    """
    return read_all(_page_pieces(path, options))


def _page_pieces(path: Path | None, options: ReaderOptions) -> Iterator[Piece]:
    return pieces_of_files(files_of(path, "page", (".csv",)), partial(_read_page, options=options))


def _read_page(file: InputFile, options: ReaderOptions) -> RecordingSet:
    return _read_events(file, read_csv(file, PAGE_COLUMNS, NAMES), options, DEFAULT_RULE)


def _about_table(header: Header) -> str:
    own = header.has(*SIGNAL) and (header.suffix == ".parquet" or header.has(*OWNER)) and not _about_page(header)
    return f"columns {', '.join(SIGNAL)}" if own and header.suffix in SUFFIXES else ""


def _about_page(header: Header) -> str:
    own = header.suffix == ".csv" and header.columns == PAGE_COLUMNS
    return "the columns of the page of the service" if own else ""


TABLE_READER = Reader(
    _pieces,
    "tables of one's own: CSV, Parquet, JSON lines; a row per event or per movement",
    SUFFIXES,
    _about_table,
    frozenset({"time_unit"}),
)
PAGE_READER = Reader(_page_pieces, "files that the page of the service saves", (".csv",), _about_page)
