"""Batch store: the request behind each batch id, so that its bytes can be reproduced; a bounded SQLite table.

A batch id is a prefix of the hash of the resolved request, which names seed and champion: equal requests to the same
champion share one id. The hash of the response is stored with the request, so a repeated request gets the same bytes or
an error. Several processes of one machine share the file.
"""

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from serve.jobs import ServeError

LOG = logging.getLogger("serve.batches")
FILE = "serve/batches.sqlite"
LOCK_TIMEOUT_S = 5.0  # wait for another process that writes
DELETED_AT_ONCE = 16  # rows, where the file is too large
SLACK = 256  # rows over the limit before the oldest are deleted, so that not every request deletes one


class UnknownBatchError(ServeError):
    """No request is stored under this id."""

    status = 404


class StoreError(ServeError):
    """The file cannot be read or written for now: a full disk, or a long write of another process."""

    status = 503
    retry_after_s = 5


class ChangedBatchError(ServeError):
    """The stored request now yields other bytes."""

    status = 410


SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, request TEXT NOT NULL, sha256 TEXT NOT NULL)
"""


@dataclass(frozen=True)
class StoredRequest:
    """Answered request as JSON, and the SHA-256 of the response body."""

    request: str
    sha256: str

    def check(self, body: bytes) -> None:
        """Raise `ChangedBatchError` unless `body` is the original response."""
        if hashlib.sha256(body).hexdigest() != self.sha256:
            reason = "the bytes of this batch cannot be reproduced: the software has changed"
            raise ChangedBatchError(f"{reason}; send the request again")


def batch_id_of(request: str) -> str:
    """Return the batch id, 32 hexadecimal digits, of a resolved request as canonical JSON."""
    return hashlib.sha256(request.encode()).hexdigest()[:32]


class BatchStore:
    """SQLite table of the latest requests: at most `max_rows` (and some slack), in a file of about `max_bytes`."""

    def __init__(self, file: Path, max_rows: int, max_bytes: int = 1_000_000_000) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._max_rows, self._max_bytes, self._lock = max_rows, max_bytes, threading.Lock()
        self._connection = sqlite3.connect(file, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        # Readers and a writer side by side; a power cut may cost the last requests, never the file.
        for line in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", SCHEMA):
            self._connection.execute(line)

    def put(self, batch_id: str, stored: StoredRequest) -> None:
        """Store a request as the latest; one that is already there moves to the end."""
        with self._cursor() as cursor:
            row = (batch_id, stored.request, stored.sha256)
            cursor.execute("INSERT OR REPLACE INTO batches (id, request, sha256) VALUES (?, ?, ?)", row)
            if cursor.lastrowid is not None and cursor.lastrowid % SLACK == 0:
                cursor.execute(
                    "DELETE FROM batches WHERE number <= "
                    "(SELECT number FROM batches ORDER BY number DESC LIMIT 1 OFFSET ?)",
                    (self._max_rows,),
                )
            while self._used_bytes(cursor) > self._max_bytes and self._delete_oldest(cursor):
                pass

    @staticmethod
    def _used_bytes(cursor: sqlite3.Cursor) -> int:
        """Return the bytes of the used pages, which the file's header holds: the cost does not grow with the rows."""
        pages, free, each = (
            int(cursor.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * each

    @staticmethod
    def _delete_oldest(cursor: sqlite3.Cursor) -> bool:
        """Delete the oldest few rows, never the latest one; return whether there were any."""
        oldest = "SELECT number FROM batches WHERE number < (SELECT MAX(number) FROM batches) ORDER BY number LIMIT ?"
        return cursor.execute(f"DELETE FROM batches WHERE number IN ({oldest})", (DELETED_AT_ONCE,)).rowcount > 0

    def find(self, batch_id: str) -> StoredRequest:
        """Return the request of a batch.

        Raises:
            UnknownBatchError: the id is unknown, or so old that its row was deleted.
        """
        with self._cursor() as cursor:
            row = cursor.execute("SELECT request, sha256 FROM batches WHERE id = ?", (batch_id,)).fetchone()
        if row is None:
            raise UnknownBatchError("unknown or expired batch id; send the request again")
        return StoredRequest(*row)

    def __len__(self) -> int:
        with self._cursor() as cursor:
            return int(cursor.execute("SELECT COUNT(*) FROM batches").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _cursor(self) -> Iterator[sqlite3.Cursor]:
        try:
            with self._lock, closing(self._connection.cursor()) as cursor:
                yield cursor
        except sqlite3.Error as error:
            LOG.error("batch store: %s: %s", type(error).__name__, error)
            raise StoreError("the batch store is temporarily unavailable; retry later") from error
