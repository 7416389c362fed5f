"""Converted recordings: canonical Parquet with the account of the recordings that it was made from.

    t_ms, x, y                          lists of float64: milliseconds from 0, pixels
    source, user, session               as the reader named them
    target_x, target_y, target_width    empty where unknown

The movements were read, cut and cleaned when the file was written. The rules for recorders' defects must not be applied
again: an edge of the screen, for one, is another one where the movements against it are gone. So the metadata of the
file hold, beside the names of the readers, what was read, dropped and repaired, and a file that holds them is read back
as it is: the same recordings, bit for bit and in the same order, with the same account. A program that writes the table
anew leaves the metadata out; what it wrote is a table like any other.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.core.atomic_files import staged_file
from trainables.core.config import require
from trainables.data.config import PART
from trainables.data.readers.files import InputFile
from trainables.data.readers.list_columns import ListColumn
from trainables.data.readers.reader import Piece
from trainables.data.readers.recording_set import Recording, RecordingError, RecordingSet
from trainables.data.readers.table_columns import OWNER, SIGNAL, TARGET, WIDTH

KEY = "humouse.recordings"  # of the metadata
VERSION = 1
NAMES = ("source", *OWNER)
SCHEMA = pa.schema(
    [
        *((name, pa.list_(pa.float64())) for name in SIGNAL),
        *((name, pa.string()) for name in NAMES),
        *((name, pa.float64()) for name in (*TARGET, WIDTH)),
    ]
)
REMEDY = "convert the recordings again"


def write_converted(sets: Iterable[RecordingSet], readers: Sequence[str], path: Path) -> Mapping[str, Any]:
    """Write the recordings of all sets, one set after another, with their account, which is returned.

    The file is complete or absent; an existing one is replaced.

    Args:
        readers: Names of the readers, for the record.

    Raises:
        ConfigError: No recording is kept.
        OSError: The file cannot be written.
    """
    with staged_file(path) as staged:
        with pq.ParquetWriter(staged, SCHEMA, compression="zstd") as writer:
            account = _write(sets, writer, readers)
            writer.add_key_value_metadata({KEY: _sealed(account)})
        _require_some(account)
    return account


def _require_some(account: Mapping[str, Any]) -> None:
    dropped: Mapping[str, int] = account["dropped"]
    reason = max(dropped, key=dropped.__getitem__, default="none was read")
    require(account["kept"] > 0, "a movement that is kept", f"none of {account['read']}", f"most are dropped: {reason}")


def _write(sets: Iterable[RecordingSet], writer: pq.ParquetWriter, readers: Sequence[str]) -> dict[str, Any]:
    """Write the recordings, and return their account."""
    read = kept = 0
    waiting: list[Recording] = []
    dropped, repaired = Counter[str](), Counter[str]()
    for part in sets:
        waiting.extend(part.recordings)
        while len(waiting) >= PART:
            writer.write_table(_table(waiting[:PART]), row_group_size=PART)
            del waiting[:PART]
        read, kept = read + part.read, kept + len(part.recordings)
        dropped.update(part.dropped)
        repaired.update(part.repaired_events)
    if waiting:
        writer.write_table(_table(waiting))
    counts = {"dropped": dict(dropped), "repaired_events": dict(repaired)}
    return {"version": VERSION, "readers": list(readers), "read": read, "kept": kept, **counts}


def _table(recordings: Sequence[Recording]) -> pa.Table:
    bounds = np.cumsum([0, *(len(one.t_ms) for one in recordings)]).astype(np.int32)
    lists = [
        pa.ListArray.from_arrays(bounds, np.concatenate([getattr(one, name) for one in recordings]).astype(np.float64))
        for name in SIGNAL
    ]
    names = [[getattr(one, name) for one in recordings] for name in NAMES]
    targets = [(*(one.target or (None, None)), one.target_width_px) for one in recordings]
    return pa.table([*lists, *names, *map(list, zip(*targets, strict=True))], schema=SCHEMA)


def _sealed(account: Mapping[str, Any]) -> str:
    """Return an account as text, with its hash."""
    return json.dumps({**account, "sha256": _sha256(account)})


def _sha256(account: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(account, sort_keys=True).encode()).hexdigest()


def account_of(path: Path, metadata: pq.FileMetaData) -> Mapping[str, Any] | None:
    """Return the account of converted recordings; None of any other file.

    Raises:
        RecordingError: It is damaged.
    """
    text = (metadata.metadata or {}).get(KEY.encode())
    return None if text is None else _opened(path, text)


def pieces_of_converted(
    file: InputFile, parquet: pq.ParquetFile, account: Mapping[str, Any], time_unit: str
) -> Iterator[Piece]:
    """Yield the recordings of a file, and at last the account of those that were dropped when it was written.

    Raises:
        RecordingError: The account is another table's, or a unit of time other than milliseconds is set.
    """
    if time_unit != "ms":
        raise RecordingError(
            f"{file.path}: expected no `time_unit` of converted recordings, which are in milliseconds, "
            f"but got time_unit={time_unit}; leave it out"
        )
    rows, schema = parquet.metadata.num_rows, parquet.schema_arrow
    if schema.remove_metadata() != SCHEMA or rows != account["kept"]:
        law = f"expected {account['kept']} converted movements with the columns {', '.join(SCHEMA.names)}"
        raise RecordingError(f"{file.path}: {law}, but got {rows} with {', '.join(schema.names)}; {REMEDY}")
    for batch in parquet.iter_batches(PART):
        table = pa.Table.from_batches([batch])
        yield Piece(partial(_read_rows, file.path, table), table.nbytes, file.size * len(table) // rows)
    dropped, repaired = account["dropped"], account["repaired_events"]
    yield Piece(partial(RecordingSet, (), account["read"] - rows, dropped, repaired), 0, 0)


def _read_rows(path: Path, table: pa.Table) -> RecordingSet:
    return RecordingSet(_recordings(path, table), len(table))


def readers_of(path: Path) -> tuple[str, ...]:
    """Return the names of the readers of converted recordings; none of any other file."""
    try:
        metadata = pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        return ()
    account = account_of(path, metadata)
    return () if account is None else tuple(account["readers"])


def _opened(path: Path, text: bytes) -> dict[str, Any]:
    """Return the account in the metadata of a file."""
    try:
        account = json.loads(text)
        version, sha256 = account["version"], account.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(path, "no account") from None
    if version != VERSION:
        raise _damaged(path, f"an account of version {version}")
    if _sha256(account) != sha256:
        raise _damaged(path, "one whose hash is another's")
    return {str(name): value for name, value in account.items()}


def _damaged(path: Path, got: str) -> RecordingError:
    law = f"expected the account of converted recordings of version {VERSION} in the metadata"
    return RecordingError(f"{path}: {law}, but got {got}; {REMEDY}")


def _recordings(path: Path, table: pa.Table) -> tuple[Recording, ...]:
    for name in (*SIGNAL, *NAMES):
        if table.column(name).null_count:
            raise RecordingError(f"{path}: expected a `{name}` in every row, but got nothing; {REMEDY}")
    lists = (ListColumn.of(table.column(name)).rows() for name in SIGNAL)
    columns = (table.column(name).to_pylist() for name in (*NAMES, *TARGET, WIDTH))
    rows = []
    for t_ms, x, y, source, user, session, target_x, target_y, width_px in zip(*lists, *columns, strict=True):
        target = None if target_x is None or target_y is None else (target_x, target_y)
        rows.append(Recording(t_ms, x, y, source, user, session, target, width_px))
    return tuple(rows)
