"""Which request stands behind a batch id, so that its bytes can be made again: a bounded table on disk.

A batch id is the head of a hash over the settled request, in which seed and champion are named: equal requests to the
same champion share one. With the request the hash of the bytes is kept: who asks again gets these bytes or an error.
Several processes of one machine share the file.
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
WAIT_S = 5.0  # for another process that writes
FEW = 16  # that go together where the file is too large
SLACK = 256  # rows over the bound before the oldest go, so that not every request deletes one


class UnknownBatchError(ServeError):
    """No request is kept under this id."""

    status = 404


class StoreError(ServeError):
    """The file cannot be read or written for now: a full disk, or another process that writes for long."""

    status = 503
    retry_after_s = 5


class ChangedBatchError(ServeError):
    """The request is kept, and what it gives today are other bytes."""

    status = 410


SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, request TEXT NOT NULL, sha256 TEXT NOT NULL)
"""


@dataclass(frozen=True)
class Kept:
    """A request that was answered, as JSON, and the SHA-256 of the bytes that answered it."""

    request: str
    sha256: str

    def require(self, body: bytes) -> None:
        """Raise `ChangedBatchError` unless these are the bytes."""
        if hashlib.sha256(body).hexdigest() != self.sha256:
            reason = "the bytes of this batch can no longer be made: the software is another one"
            raise ChangedBatchError(f"{reason}; post its request again")


def batch_id_of(request: str) -> str:
    """32 hexadecimal digits for a settled request as canonical JSON, in which the champion is named."""
    return hashlib.sha256(request.encode()).hexdigest()[:32]


class Batches:
    """The table in a file; at most `kept` requests (and a little slack) of `size` bytes are in it, the latest."""

    def __init__(self, file: Path, kept: int, size: int = 1_000_000_000) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._kept, self._size, self._lock = kept, size, threading.Lock()
        self._connection = sqlite3.connect(file, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        # Readers and a writer side by side; a power cut may cost the last requests, never the file.
        for line in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", SCHEMA):
            self._connection.execute(line)

    def keep(self, batch_id: str, kept: Kept) -> None:
        """Remember a request; one that is there already becomes the latest."""
        with self._changes() as cursor:
            row = (batch_id, kept.request, kept.sha256)
            cursor.execute("INSERT OR REPLACE INTO batches (id, request, sha256) VALUES (?, ?, ?)", row)
            if cursor.lastrowid is not None and cursor.lastrowid % SLACK == 0:
                cursor.execute(
                    "DELETE FROM batches WHERE number <= "
                    "(SELECT number FROM batches ORDER BY number DESC LIMIT 1 OFFSET ?)",
                    (self._kept,),
                )
            while self._used(cursor) > self._size and self._drop(cursor):
                pass

    @staticmethod
    def _used(cursor: sqlite3.Cursor) -> int:
        """Bytes of the file that hold something; its head tells them, whatever the number of rows."""
        pages, free, each = (
            int(cursor.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * each

    @staticmethod
    def _drop(cursor: sqlite3.Cursor) -> bool:
        """Forget the oldest few, all but the latest; whether there were any."""
        oldest = "SELECT number FROM batches WHERE number < (SELECT MAX(number) FROM batches) ORDER BY number LIMIT ?"
        return cursor.execute(f"DELETE FROM batches WHERE number IN ({oldest})", (FEW,)).rowcount > 0

    def find(self, batch_id: str) -> Kept:
        """The request of a batch.

        Raises:
            UnknownBatchError: it was never made here, or so many others since that it is forgotten.
        """
        with self._changes() as cursor:
            row = cursor.execute("SELECT request, sha256 FROM batches WHERE id = ?", (batch_id,)).fetchone()
        if row is None:
            raise UnknownBatchError("no batch of this id was made here, or too long ago; post its request again")
        return Kept(*row)

    def __len__(self) -> int:
        with self._changes() as cursor:
            return int(cursor.execute("SELECT COUNT(*) FROM batches").fetchone()[0])

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _changes(self) -> Iterator[sqlite3.Cursor]:
        try:
            with self._lock, closing(self._connection.cursor()) as cursor:
                yield cursor
        except sqlite3.Error as error:
            LOG.error("the table of batches: %s: %s", type(error).__name__, error)
            raise StoreError("the requests of batches cannot be kept or read for now; ask again later") from error
