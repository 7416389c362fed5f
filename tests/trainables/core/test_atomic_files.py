"""The lock on a folder: where a file system lets nothing be locked that is not open for writing, and beside others."""

import fcntl
import os
from pathlib import Path

import pytest

from trainables.core import atomic_files
from trainables.core.atomic_files import LOCK, append, staged_file, try_lock


def flock_of_nfs(lock: int, operation: int) -> None:
    """Linux makes a byte-range lock of it there, and an exclusive one needs a descriptor open for writing."""
    if operation & fcntl.LOCK_EX and fcntl.fcntl(lock, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(9, "Bad file descriptor")
    FLOCK(lock, operation)


FLOCK = fcntl.flock


def test_a_folder_is_locked_on_nfs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", flock_of_nfs)
    with try_lock(tmp_path), pytest.raises(BlockingIOError):
        try_lock(tmp_path)
    with try_lock(tmp_path):
        pass


def test_the_stand_in_for_nfs_refuses_what_nfs_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        descriptor = os.open(path, os.O_RDONLY)
        with pytest.raises(OSError, match="Bad file descriptor"):
            flock_of_nfs(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)


def test_the_lock_makes_its_folder_and_stays_in_it_empty(tmp_path: Path) -> None:
    """Removed, it could be made anew and held by a second process beside the first."""
    folder = tmp_path / "a" / "b"
    for _ in range(2):
        with try_lock(folder):
            pass
        assert {path.name: path.stat().st_size for path in folder.iterdir()} == {LOCK: 0}


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        try_lock(tmp_path / "file" / "folder")


def test_a_staged_file_takes_its_place_whole_or_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "made" / "a.txt"
    with staged_file(file) as staged:
        staged.write_text("first")
        assert not file.exists()
    assert file.read_text() == "first"
    with pytest.raises(UnicodeEncodeError), staged_file(file) as staged:
        staged.write_text("second\udcff", encoding="utf-8")
    assert {path.name: path.read_text() for path in file.parent.iterdir()} == {"a.txt": "first"}


def test_the_name_of_a_new_file_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = list[Path]()
    monkeypatch.setattr(atomic_files, "flush", flushed.append)
    for text in ("a\n", "b\n"):
        append(tmp_path / "new", text)
    assert flushed == [tmp_path]
    assert (tmp_path / "new").read_text() == "a\nb\n"
