"""Atomic changes on disk: complete or absent, whenever the process or the machine ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK = ".lock"  # in a folder that one process at a time may change; it stays there, empty


def append(file: Path, text: str) -> None:
    """Add text to a file; it is on the disk when this returns. A line cut by the end of a process has no end.

    So is the name of a new file in its folder.
    """
    new = not file.exists()
    with file.open("a") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    if new:
        flush(file.parent)


def drop_partial_line(stream: IO[bytes]) -> int:
    """Remove an incomplete last line, whose writer was killed, from a file open for reading and writing.

    Returns:
        The number of bytes that were removed.
    """
    stream.seek(0)
    content = stream.read()
    whole = content.rfind(b"\n") + 1
    stream.truncate(whole)
    return len(content) - whole


def write_atomically(file: Path, text: str) -> None:
    """Write a whole file in one atomic step."""
    made = staging_path(file)
    made.unlink(missing_ok=True)
    append(made, text)
    made.replace(file)
    flush(file.parent)


@contextmanager
def staged_file(file: Path) -> Iterator[Path]:
    """Yield a path beside a file, whose folder is made; what is written there takes its place in one atomic step.

    On an error nothing is left of it, and an earlier file stays.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    made = staging_path(file)
    try:
        yield made
        flush(made)
        made.replace(file)
    finally:
        made.unlink(missing_ok=True)
    flush(file.parent)


def replace_symlink(link: Path, target: str) -> None:
    """Point a link to `target` in one atomic step."""
    made = staging_path(link)
    made.unlink(missing_ok=True)
    made.symlink_to(target)
    made.replace(link)
    flush(link.parent)


def staging_path(path: Path) -> Path:
    """Return the path beside `path` where its new content is prepared."""
    return path.with_name(f".{path.name}")


def flush(path: Path) -> None:
    """Flush a file's bytes, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def try_lock(folder: Path) -> IO[str]:
    """Return a lock on a folder, made where there is none, that is held until the returned file is closed.

    The lock ends with the process, whatever its end is. It is on a file open for writing: on NFS an exclusive one
    cannot be had on a folder, nor on a file that is open for reading alone.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / LOCK).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise
    return lock
