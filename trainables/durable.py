"""Changes on disk that have happened wholly or not at all, whenever the process or the machine ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def append(file: Path, text: str) -> None:
    """Add text to a file; it is on the disk when this returns. A line cut by the end of a process has no end."""
    with file.open("a") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def replace(file: Path, text: str) -> None:
    """Write a whole file in one atomic step."""
    made = fresh(file)
    made.unlink(missing_ok=True)
    append(made, text)
    made.replace(file)
    flush(file.parent)


def point(link: Path, target: str) -> None:
    """Let a link name `target` in one atomic step."""
    made = fresh(link)
    made.unlink(missing_ok=True)
    made.symlink_to(target)
    made.replace(link)
    flush(link.parent)


def fresh(path: Path) -> Path:
    """Where what will stand at `path` is made."""
    return path.with_name(f".{path.name}")


def flush(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A folder held against other processes; the lock ends with the process, whatever its end is.

    Raises:
        BlockingIOError: another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
