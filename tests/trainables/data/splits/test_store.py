"""Prepared data: once for all processes, again where files, configuration or code differ, whole or not at all."""

import errno
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from trainables.core.config import ConfigError
from trainables.data.canonical import TENSORS
from trainables.data.config import SPLITS, DataConfig, SourceConfig
from trainables.data.readers.left_out import LEFT_OUT
from trainables.data.readers.recordings import RecordingError
from trainables.data.splits import loading, parts
from trainables.data.splits import store as module
from trainables.data.splits.assignment import split_of
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.splits.store import CONTENTS, ENVIRONMENT, MANIFEST, STAGED, prepared_set

ROOT = Path(__file__).resolve().parents[4]
MINE = "mine"  # a key


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store of the test's own."""
    folder = tmp_path / "store"
    monkeypatch.setenv(ENVIRONMENT, str(folder))
    load_splits.cache_clear()
    yield folder
    load_splits.cache_clear()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two users of each split with six movements each."""
    users = {name: [user for i in range(60) if split_of(user := f"user{i}") == name][:2] for name in SPLITS}
    return written(tmp_path / "table.parquet", [user for names in users.values() for user in names])


def written(path: Path, users: list[str], seed: int = 0) -> Path:
    rng, rows = np.random.default_rng(seed), []
    for user in users:
        for _ in range(6):
            points = int(rng.integers(14, 50))
            x = np.round(np.cumsum(rng.uniform(2, 12, points)))
            y = np.round(np.cumsum(rng.normal(0, 4, points)))
            rows.append({"t_ms": np.arange(points) * 1000 / 60, "x": x, "y": y, "user": user, "session": "s"})
    pd.DataFrame(rows).to_parquet(path)
    return path


def config(path: Path) -> DataConfig:
    return DataConfig(source="table", path=str(path))


def reloaded(path: Path) -> DataSplits:
    load_splits.cache_clear()
    return load_splits(config(path))


def sets(store: Path) -> list[Path]:
    return [path for path in store.iterdir() if (path / MANIFEST).is_file()]


def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every further preparation fail."""
    monkeypatch.setattr(loading, "data_pieces", lambda config: pytest.fail("it was read again"))


def equal(a: DataSplits, b: DataSplits) -> bool:
    return all(
        torch.equal(getattr(a[name], tensor), getattr(b[name], tensor))
        for name in SPLITS
        for tensor in TENSORS
        if tensor != "target_width_px"
    ) and all(a[name].group == b[name].group and a[name].source == b[name].source for name in SPLITS)


def test_what_was_prepared_is_mapped_and_not_read_again(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = reloaded(table)
    unread(monkeypatch)
    second = reloaded(table)
    assert equal(first, second)
    assert (first.sha256, first.table()) == (second.sha256, second.table())
    for name, value in vars(first.statistics).items():
        other = getattr(second.statistics, name)
        assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other
    assert all(torch.equal(first.places[name], second.places[name]) for name in SPLITS)


def test_a_write_into_a_mapped_tensor_reaches_no_other_process(table: Path) -> None:
    before = reloaded(table)["train"].deltas.clone()
    reloaded(table)["train"].deltas.zero_()
    assert torch.equal(reloaded(table)["train"].deltas, before)


def test_a_changed_file_is_prepared_anew_and_one_of_another_date_is_not(
    table: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = reloaded(table)
    os.utime(table, ns=(0, 0))
    with monkeypatch.context() as patched:
        unread(patched)
        assert reloaded(table).sha256 == before.sha256
    users = [split for name in SPLITS for split in dict.fromkeys(before[name].group)]
    written(table, users, seed=1)
    assert reloaded(table).sha256 != before.sha256
    assert len(sets(store)) == 2


def test_another_code_or_configuration_is_prepared_anew(
    table: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloaded(table)
    load_splits(DataConfig(source="table", path=str(table), rows_per_user=3))
    assert len(sets(store)) == 2
    monkeypatch.setattr(loading, "code_sha256", lambda folder: "other")
    reloaded(table)
    assert len(sets(store)) == 3


def cut_array(folder: Path) -> None:
    file = folder / "train.deltas.npy"
    file.write_bytes(file.read_bytes()[:-8])


def flip_a_bit(folder: Path) -> None:
    file = folder / "train.deltas.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))


def cut_manifest(folder: Path) -> None:
    file = folder / MANIFEST
    file.write_text(file.read_text()[:100])


def remove_array(folder: Path) -> None:
    (folder / "validation.mask.npy").unlink()


def other_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text(json.dumps({"arrays": [1]}))


@pytest.mark.parametrize("damage", [cut_array, flip_a_bit, cut_manifest, remove_array, other_manifest])
def test_a_damaged_set_is_prepared_again_and_named(
    damage: object, table: Path, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(damage)
    before = reloaded(table)
    expected = {name: before[name].deltas.clone() for name in SPLITS}
    (folder,) = sets(store)
    damage(folder)
    with caplog.at_level(logging.WARNING):
        after = reloaded(table)
    assert all(torch.equal(after[name].deltas, values) for name, values in expected.items())
    (line,) = caplog.messages
    assert line.startswith(f"prepared data {folder} are damaged: ")
    assert line.endswith("preparing them again")


def test_what_an_interrupted_preparation_left_is_no_set_and_goes(table: Path, store: Path) -> None:
    reloaded(table)
    (folder,) = sets(store)
    folder.rename(folder.with_name(f"{STAGED}-{folder.name}"))
    (folder.with_name(f"{STAGED}-{folder.name}") / "more.npy").write_bytes(b"")
    reloaded(table)
    assert [path.name for path in sets(store)] == [folder.name]
    assert not list(store.glob(f"{STAGED}*"))


def test_a_damaged_index_of_contents_costs_one_reading_of_the_file(table: Path, store: Path) -> None:
    before = reloaded(table).sha256
    (store / CONTENTS).write_text("{")
    assert reloaded(table).sha256 == before
    assert json.loads((store / CONTENTS).read_text()).keys() == {str(table)}


def test_a_full_disk_is_one_line_and_leaves_nothing(table: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        with pytest.raises(ConfigError, match=r"^expected the store of prepared data .* No space left on device; free"):
            reloaded(table)
    assert sets(store) == []
    assert not list(store.glob(f"{STAGED}*"))
    reloaded(table)


def test_a_store_that_cannot_be_written_is_one_line(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(table / "below a file"))
    with pytest.raises(ConfigError, match=r"but got Not a directory; .* name another folder in HUMOUSE_STORE$"):
        reloaded(table)


def test_of_several_processes_one_prepares(tmp_path: Path, store: Path) -> None:
    """Each waits for the other to have begun, and appends a letter where it prepares."""
    code = f"""
import sys, time
from pathlib import Path
import numpy as np
from trainables.data.splits.store import prepared_set
folder = Path({str(tmp_path)!r})
(folder / sys.argv[1]).touch()
while not all((folder / name).exists() for name in "ab"):
    time.sleep(0.01)
def prepare(writer):
    with (folder / "prepared").open("a") as file:
        file.write(sys.argv[1])
    writer.save("values", np.arange(4))
    return {{}}
print(prepared_set({MINE!r}, prepare).tensor("values").tolist())
"""
    command, options = [sys.executable, "-c", code], {"cwd": ROOT, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([*command, name], **options) for name in "ab"]  # type: ignore[call-overload]
    assert [process.communicate()[0] for process in processes] == ["[0, 1, 2, 3]\n"] * 2
    assert (tmp_path / "prepared").read_text() in ("a", "b")
    assert prepared_set(MINE, lambda writer: pytest.fail("it is there")).bytes > 0


def test_parts_of_any_size_make_the_same_splits(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = reloaded(table)
    monkeypatch.setattr(parts, "PART", 7)
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "another"))
    in_parts = reloaded(table)
    for name in SPLITS:
        assert in_parts[name].group == whole[name].group
        assert torch.equal(in_parts.places[name], whole.places[name])
        for tensor in TENSORS:  # vectorised functions differ in the last bit from row to row
            torch.testing.assert_close(
                getattr(in_parts[name], tensor), getattr(whole[name], tensor), rtol=1e-12, atol=1e-12, equal_nan=True
            )
    assert (in_parts.kept, in_parts.dropped, in_parts.capped) == (whole.kept, whole.dropped, whole.capped)


def test_pieces_that_processes_read_make_the_same_splits(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a folder, a group each, in two processes; the groups come in their order."""
    folder, frame = tmp_path / "folder", pd.read_parquet(table)
    folder.mkdir()
    for number, first in enumerate(range(0, len(frame), 12)):
        frame.iloc[first : first + 12].to_parquet(folder / f"{number}.parquet")
    together = reloaded(folder)
    monkeypatch.setattr(parts, "GROUP_BYTES", 1)
    monkeypatch.setattr(parts, "GROUPS", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "another"))
    apart = reloaded(folder)
    for name in SPLITS:
        assert apart[name].group == together[name].group
        assert torch.equal(apart.places[name], together.places[name])
        torch.testing.assert_close(apart[name].deltas, together[name].deltas, rtol=1e-12, atol=1e-12)
    assert (apart.read, apart.kept, apart.dropped) == (together.read, together.kept, together.dropped)
    (folder / "3.parquet").write_bytes(b"no table")
    with pytest.raises(RecordingError, match=r"3\.parquet: cannot be read as Parquet"):
        reloaded(folder)


def test_the_places_of_a_movement_are_those_of_its_observation(table: Path) -> None:
    splits, frame = reloaded(table), pd.read_parquet(table)
    for name in SPLITS:
        ends = [(x[0], y[0], x[-1], y[-1]) for x, y in zip(frame["x"], frame["y"], strict=True)]
        of_split = [end for end, user in zip(ends, frame["user"], strict=True) if user in splits[name].group]
        assert sorted(map(tuple, splits.places[name].tolist())) == sorted(of_split)
        moved = splits.places[name][:, 2:] - splits.places[name][:, :2]
        torch.testing.assert_close(moved.norm(dim=1), splits[name].distance_px)


def test_a_source_that_is_left_out_is_known_from_all_groups(table: Path) -> None:
    beside = table.with_name("beside.parquet")
    pd.read_parquet(table).to_parquet(beside)
    sources = tuple(SourceConfig(path=str(path), name=name) for path, name in ((table, "one"), (beside, "two")))
    found = load_splits(DataConfig(sources=sources, leave_out=("two",)))
    assert found.dropped[LEFT_OUT] == found.kept["one"].read == len(pd.read_parquet(table))
    with pytest.raises(ConfigError, match=r"`leave_out` in \{one, two\}, but got three"):
        load_splits(DataConfig(sources=sources, leave_out=("three",)))
    with pytest.raises(ConfigError, match="a source that is not left out"):
        load_splits(DataConfig(sources=sources, leave_out=("one", "two")))


def test_a_file_that_changes_while_it_is_read_is_refused_and_nothing_is_kept(
    table: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = parts.write_part

    def written_into(*given: Any) -> parts.Part:
        with table.open("ab") as file:
            file.write(b"more")
        return write(*given)

    with monkeypatch.context() as patched:
        patched.setattr(parts, "write_part", written_into)
        law = rf"while they are read, but got {table}, which changed; start again when it is written"
        with pytest.raises(ConfigError, match=law):
            reloaded(table)
    assert not sets(store)


def test_a_renamed_file_is_prepared_anew_since_it_names_the_user(table: Path, tmp_path: Path) -> None:
    folder, frame = tmp_path / "lab", pd.read_parquet(table)
    folder.mkdir()
    for user, own in frame.groupby("user"):
        own.drop(columns=["user", "session"]).to_parquet(folder / f"{user}.parquet")
    before = reloaded(folder)
    named = dict.fromkeys(before["train"].group)
    for user in named:
        (folder / f"{user}.parquet").rename(folder / f"{user}x.parquet")
    after = reloaded(folder)
    assert {user for name in SPLITS for user in after[name].group} >= {f"{user}x" for user in named}


def test_a_file_that_changes_before_it_is_read_is_refused(
    table: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while another process holds the lock of the set."""
    locked = module._locked

    def changed_meanwhile(name: str) -> Any:
        if name != CONTENTS:
            with table.open("ab") as file:
                file.write(b"more")
        return locked(name)

    with monkeypatch.context() as patched:
        patched.setattr(module, "_locked", changed_meanwhile)
        with pytest.raises((ConfigError, RecordingError)):
            reloaded(table)
    assert not sets(store)


def test_files_are_hashed_once_and_the_index_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.write_text(file.name)
    writes: list[Path] = []

    def write(file: Path, text: str) -> None:
        writes.append(file)
        file.write_text(text)

    monkeypatch.setattr(module, "write_atomically", write)
    first = module.content_hashes(states(files))
    assert (module.content_hashes(states(files)), len(writes)) == (first, 1)
    files[1].write_text("changed")
    again = module.content_hashes(states(files))
    assert (again[0], again[2], len(writes)) == (first[0], first[2], 2)
    assert again[1] != first[1]


def states(files: list[Path]) -> dict[Path, tuple[int, int, int]]:
    """Return size, time of change and number of each file."""
    return {file: (file.stat().st_size, file.stat().st_mtime_ns, file.stat().st_ino) for file in files}


def test_a_file_that_may_not_be_read_is_named(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(file: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(file))

    monkeypatch.setattr(module, "file_sha256", refused)
    with pytest.raises(RecordingError, match=rf"{table}: cannot be read: Permission denied; check that it is there"):
        reloaded(table)
