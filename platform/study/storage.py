"""Storage of a study: a journal file in its folder or a database, and the lock of its driver."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileSymlinkLock
from optuna.storages.journal._file import BaseJournalFileLock

from trainables.core.atomic_files import LOCK, drop_partial_line, flush, try_lock
from trainables.core.config import ConfigError

JOURNAL = "study.journal"


class NoStudyError(ConfigError):
    """No study has this name."""


def redact_password(url: str) -> str:
    """Return a URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


@contextmanager
def lock_study(folder: Path) -> Iterator[None]:
    """Lock the study of a folder for this driver; the lock is released with the process, however it ends.

    Raises:
        ConfigError: another driver runs this study, or the folder cannot be written.
    """
    try:
        lock = try_lock(folder)
    except BlockingIOError:
        raise ConfigError(
            f"study_name={folder.name}: another sweep runs this study; wait for it or choose another name"
        ) from None
    except OSError as error:
        raise ConfigError(f"storage_path={folder.parent}: cannot write there ({error.strerror})") from None
    with lock:
        yield


def has_driver(folder: Path) -> bool:
    """Whether a driver runs the study of a folder now; nothing is written.

    A folder that cannot be written is taken for one without: its driver's lock would have to be tried for.
    """
    if not (folder / LOCK).is_file():
        return False
    try:
        try_lock(folder).close()
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def open_storage(url: str, folder: Path, create: bool = True) -> BaseStorage:
    """Open the journal file in the folder of the study, or the database behind `storage=URL`.

    Args:
        create: Whether a missing folder is created.

    Raises:
        ConfigError: the database cannot be used, or the journal is damaged.
    """
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"storage_path={folder.parent}: cannot write there ({error.strerror})") from None
    return _database(url) if url else _journal(folder / JOURNAL)


def require_database(storage: str) -> None:
    """Require an existing database, for reading: SQLite would create a file.

    Raises:
        NoStudyError: the file of the URL does not exist.
    """
    if not storage.startswith("sqlite"):
        return
    from sqlalchemy.engine import make_url

    database = make_url(storage).database
    if database is None or not Path(database).is_file():
        raise NoStudyError(f"expected `storage` to be an existing database, but got storage={storage}")


class AtomicJournal(BaseJournalBackend):
    """A journal file in which a full disk leaves no partial line, behind which later records would be lost."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lock = JournalFileSymlinkLock(str(file))  # the one that every other writer takes, optuna-dashboard too
        self.backend = JournalFileBackend(str(file), lock_obj=_HeldLock())

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the records of the file."""
        return self.backend.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append all records or none; the lock is held until a partial write has been undone."""
        self.lock.acquire()
        try:
            size = self.file.stat().st_size
            try:
                self.backend.append_logs(logs)
            except OSError:
                os.truncate(self.file, size)
                raise
        finally:
            self.lock.release()


class _HeldLock(BaseJournalFileLock):
    """The lock of a backend whose caller holds the real one."""

    def acquire(self) -> bool:
        """Report success: the caller holds the lock."""
        return True

    def release(self) -> None:
        """Do nothing: the caller releases the lock."""


def _database(url: str) -> RDBStorage:
    from sqlalchemy.exc import SQLAlchemyError  # takes as long to import as Optuna, and a journal needs none of it

    try:
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})  # a server may have closed an idle connection
    except (ImportError, ValueError, SQLAlchemyError) as error:
        raise ConfigError(
            f"storage={redact_password(url)}: not a usable database URL ({str(error).splitlines()[0]})"
        ) from None


def _journal(file: Path) -> JournalStorage:
    try:
        new = not file.exists()
        journal = JournalStorage(AtomicJournal(file))
        if new:
            flush(file.parent)
        return journal
    except ValueError as error:
        raise ConfigError(f"{file}: a line of the journal is damaged ({error}); restore it from a copy") from None


def truncate_partial_line(file: Path) -> int:
    """Remove an incomplete last line, whose writer was killed; returns its length in bytes.

    Optuna would read no record after it. Nothing is lost: a record counts when its line is complete. The lock of that
    writer is removed as well, for which Optuna would wait half a minute. The caller holds the lock of the study.
    """
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    if not file.exists():
        return 0
    with file.open("r+b") as stream:
        return drop_partial_line(stream)
