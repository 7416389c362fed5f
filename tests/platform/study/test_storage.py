"""Storage of a study: invalid places are named, partial lines truncated, a full disk survived, one driver at a time."""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.storages.journal import JournalFileSymlinkLock

from platform.study import storage as study_storage
from platform.study.storage import (
    JOURNAL,
    AtomicJournal,
    has_driver,
    lock_study,
    open_storage,
    truncate_partial_line,
)
from platform.study.study import load_study
from tests.platform.studies import study_in
from trainables.core.config import ConfigError

ROOT = Path(__file__).resolve().parents[3]
LAW = {"x": FloatDistribution(0.0, 1.0)}


@pytest.mark.parametrize("url", ["nonsense", "quux://study", "sqlite:////nowhere/at/all/s.db"])
def test_a_wrong_storage_is_one_line_that_names_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=f"storage={url}") as exc_info:
        open_storage(url, tmp_path)
    assert "\n" not in str(exc_info.value)


def test_no_error_shows_a_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as exc_info:
        open_storage("quux://someone:secret@host/study", tmp_path)
    assert "secret" not in str(exc_info.value)
    assert "storage=quux://someone:***@host/study" in str(exc_info.value)


def test_a_folder_that_cannot_be_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"storage_path=.*/file: ") as exc_info:
        open_storage("", tmp_path / "file" / "mine")
    assert "\n" not in str(exc_info.value)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Of a study with two trials, the second one running."""
    study = study_in(tmp_path / "mine")
    study.tell(study.ask(dict(LAW)), 0.25)
    study.ask(dict(LAW)).set_user_attr("last", "line")
    return tmp_path / "mine" / JOURNAL


def test_a_partial_last_line_is_truncated_at_any_byte_and_optuna_reads_the_rest(journal: Path, tmp_path: Path) -> None:
    content = journal.read_bytes()
    begins = content.rfind(b"\n", 0, len(content) - 1) + 1
    for end in range(begins, len(content)):
        journal.write_bytes(content[:end])
        assert truncate_partial_line(journal) == end - begins
        assert journal.read_bytes() == content[:begins]
        study = load_study(tmp_path, "mine")
        assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING"]
        study.set_user_attr("written", end)
        assert load_study(tmp_path, "mine").user_attrs["written"] == end


def test_a_partial_line_left_in_place_is_one_damaged_line_after_the_next_write(journal: Path, tmp_path: Path) -> None:
    """The other side of the test above."""
    journal.write_bytes(journal.read_bytes()[:-5])
    study = load_study(tmp_path, "mine")
    study.set_user_attr("written", 1)
    with pytest.raises(ValueError, match="delimiter"):
        study.set_user_attr("written", 2)
    with pytest.raises(ConfigError, match=r"study\.journal: a line of the journal is damaged") as exc_info:
        load_study(tmp_path, "mine")
    assert "\n" not in str(exc_info.value)


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond a size: as on a disk without space, the first part of a line is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_that_the_full_disk_took_half_of_spoils_no_later_one(journal: Path, tmp_path: Path) -> None:
    """Tune attributes the error to the trial and continues; later there is space again, and others are written."""
    study = load_study(tmp_path, "mine")
    for room in (1, 20, 60):
        with files_end_at(journal.stat().st_size + room), pytest.raises(OSError, match="too large"):
            study.set_user_attr("lost", "x" * 100)
        study.set_user_attr("room", room)
        again = load_study(tmp_path, "mine")
        assert (again.user_attrs["room"], "lost" in again.user_attrs) == (room, False)


def test_a_line_written_by_another_process_meanwhile_survives_the_truncation(journal: Path) -> None:
    """As optuna-dashboard does, under Optuna's lock; then the disk takes half of ours."""
    other, ours = JournalFileSymlinkLock(str(journal)), AtomicJournal(journal)
    before, theirs = journal.read_bytes(), b'{"op_code":2}\n'
    with files_end_at(len(before + theirs) + 20), ThreadPoolExecutor(1) as pool:
        other.acquire()
        waiting = pool.submit(ours.append_logs, [{"lost": "x" * 100}])
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)
        with journal.open("ab") as stream:
            stream.write(theirs)
        other.release()
        with pytest.raises(OSError, match="too large"):
            waiting.result(timeout=30)
    assert journal.read_bytes() == before + theirs


class Half:
    """A backend on a full disk: another writer must wait until its half line is cut."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.locked = False

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.locked = self.file.with_name(f"{self.file.name}.lock").is_symlink()
        with self.file.open("ab") as stream:
            stream.write(b'{"whole":1}\n{"half"')
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_rest_of_a_failed_write_is_truncated_under_the_same_lock(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, before, half = AtomicJournal(journal), journal.read_bytes(), Half(journal)
    lock_study: list[bool] = []
    truncate = os.truncate

    def watched(path: Path, size: int) -> None:
        lock_study.append(journal.with_name(f"{journal.name}.lock").is_symlink())
        truncate(path, size)

    monkeypatch.setattr(lines, "backend", half)
    monkeypatch.setattr(os, "truncate", watched)
    with pytest.raises(OSError, match="No space left"):
        lines.append_logs([{}, {}])
    assert (half.locked, lock_study) == (True, [True])
    assert journal.read_bytes() == before
    assert not journal.with_name(f"{journal.name}.lock").is_symlink()


def test_a_complete_journal_and_a_missing_one_need_no_truncation(journal: Path) -> None:
    before = journal.read_bytes()
    assert truncate_partial_line(journal) == 0
    assert journal.read_bytes() == before
    assert truncate_partial_line(journal.with_name("none")) == 0
    assert not journal.with_name("none").exists()


HOLD = """
import sys
from pathlib import Path
from platform.study.storage import lock_study
with lock_study(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_study_is_locked_by_one_driver_until_it_ends_or_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=r"study_name=mine: another sweep runs this study"), lock_study(folder):
            pass
        other.send_signal(signal.SIGKILL)
    with lock_study(folder):
        pass


def test_a_study_is_unlocked_after_the_block(tmp_path: Path) -> None:
    with lock_study(tmp_path / "a"), lock_study(tmp_path / "b"), pytest.raises(ConfigError), lock_study(tmp_path / "a"):
        pass
    with lock_study(tmp_path / "a"):
        pass


def test_a_folder_that_cannot_be_locked_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match=r"storage_path=.*/file: cannot write there"),
        lock_study(tmp_path / "file" / "s"),
    ):
        pass


def test_a_driver_is_known_by_its_lock(tmp_path: Path) -> None:
    """Nothing is made by looking."""
    assert not has_driver(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
    with lock_study(tmp_path / "s"):
        assert has_driver(tmp_path / "s")
    assert not has_driver(tmp_path / "s")


def test_a_connection_that_a_server_closed_is_replaced(tmp_path: Path) -> None:
    """The pool tries a connection before it hands it out."""
    storage = open_storage(f"sqlite:///{tmp_path}/s.db", tmp_path)
    assert isinstance(storage, RDBStorage)
    assert vars(storage.engine.pool)["_pre_ping"] is True


def test_the_name_of_a_new_journal_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = list[Path]()
    monkeypatch.setattr(study_storage, "flush", flushed.append)
    for _ in range(2):
        open_storage("", tmp_path / "s")
    assert flushed == [tmp_path / "s"]
