"""Converted recordings: what is written is read back as it was, with its account, and no rule is applied again."""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.shared_data import SHARED
from tests.trainables.data.readers import examples
from tests.trainables.data.readers.examples import EXAMPLES, POINTS, Floats, clock, events, path
from trainables.core.config import ConfigError
from trainables.data.config import PART, DataConfig
from trainables.data.readers.cleaning import EDGE
from trainables.data.readers.converted import KEY, SCHEMA, readers_of, write_converted
from trainables.data.readers.guess import guess_reader
from trainables.data.readers.recordings import Recording, RecordingError, RecordingSet, read_recordings
from trainables.data.splits.loading import load_splits

USERS = 40
NAMED: dict[str, tuple[str, str]] = {  # reader -> what names the user in its example, and what names another
    "balabit": ("", ""),  # by folder
    "sapimouse": ("", ""),
    "events": ("", ""),
    "table": ("u1", "u{}"),
    "page": ("visitor", "visitor{}"),
    "mousetracker": ("\r\n7,", "\r\n{},"),
    "mousetrap": ("\n4,", "\n{},"),
    "jspsych": ('"ann"', '"ann{}"'),
}


def write_users(reader: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the example of a reader for each of many users, in a folder of each; no two users move alike."""
    old, new = NAMED[reader]
    (folder / "made").mkdir()
    for number in range(USERS):
        step_ms = 12.0 + number % 5
        monkeypatch.setattr(examples, "STEP_MS", step_ms)
        monkeypatch.setattr(examples, "clock", lambda points=POINTS, step_ms=step_ms: clock(points, step_ms))
        monkeypatch.setattr(examples, "path", lambda points=POINTS, by=1 + number / 200: wider(by, *path(points)))
        made = EXAMPLES[reader](folder / "made")
        text = made.read_bytes().decode()
        file = folder / "all" / f"user{number}" / made.name
        file.parent.mkdir(parents=True)
        file.write_bytes((text.replace(old, new.format(number)) if old else text).encode())
    return folder / "all"


def wider(by: float, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return a path that is wider, and higher still."""
    return np.rint(x * by), np.rint(y * by**2)


def assert_same(found: RecordingSet, expected: RecordingSet) -> None:
    """Assert that two sets have the same account, and the same recordings bit for bit and in order."""
    assert (found.read, found.dropped, found.repaired_events) == (
        expected.read,
        dict(expected.dropped),
        dict(expected.repaired_events),
    )
    assert len(found.recordings) == len(expected.recordings)
    for one, other in zip(found.recordings, expected.recordings, strict=True):
        for name in ("t_ms", "x", "y"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
        for name in ("source", "user", "session", "target", "target_width_px"):
            assert getattr(one, name) == getattr(other, name)


def converted(found: RecordingSet, path: Path, reader: str = "table") -> RecordingSet:
    """Write a set and read it again."""
    write_converted([found], [reader], path)
    return read_recordings("table", path)


def test_every_reader_of_files_is_tested() -> None:
    assert set(NAMED) == set(EXAMPLES)


@pytest.mark.parametrize("reader", NAMED)
def test_the_splits_of_converted_recordings_are_those_of_the_recordings(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = write_users(reader, tmp_path, monkeypatch), tmp_path / "out" / "converted.parquet"
    expected = read_recordings(reader, folder)
    assert len({recording.user for recording in expected.recordings}) == USERS
    assert_same(converted(expected, file, reader), expected)
    assert readers_of(file) == (reader,)
    one, other = load_splits(DataConfig(reader, str(folder))), load_splits(DataConfig("table", str(file)))
    assert (other.sha256, other.read, other.dropped, other.repaired) == (
        one.sha256,
        one.read,
        one.dropped,
        one.repaired,
    )
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_default_recordings_are_converted(tmp_path: Path) -> None:
    file = tmp_path / "converted.parquet"
    expected = read_recordings("cursory")
    assert_same(converted(expected, file, "cursory"), expected)
    assert load_splits(DataConfig("table", str(file))).sha256 == load_splits(DataConfig()).sha256


def edge_session() -> pd.DataFrame:
    """Movements of one session: two against the edge at 560 px, two that reach 550 px and turn there at once."""
    frame = events(6)
    number, at = np.arange(len(frame)) // POINTS, np.arange(len(frame)) % POINTS
    frame["x"] = np.where(number < 2, (frame["x"] + 200.0).clip(upper=560.0), frame["x"])
    held = (number >= 2) & (number < 4)
    frame["x"] = np.where(held, (frame["x"] + 190.0).clip(upper=550.0), frame["x"])
    frame["y"] += np.where(number < 4, at, 0)  # the hand moves on
    return frame


def test_no_rule_is_applied_a_second_time(tmp_path: Path) -> None:
    """Where the movements against the edge are gone, the next extreme looks like an edge."""
    edge_session().to_csv(tmp_path / "mine.csv", index=False)
    once = read_recordings("table", tmp_path / "mine.csv")
    assert once.dropped == {EDGE: 2}
    file = tmp_path / "converted.parquet"
    assert_same(converted(once, file), once)
    rows = pq.read_table(file)
    pq.write_table(rows.select(SCHEMA.names[:6]), tmp_path / "plain.parquet")
    assert read_recordings("table", tmp_path / "plain.parquet").dropped == {EDGE: 2}  # of the four that were kept


def test_names_targets_and_unknown_values_are_kept(tmp_path: Path) -> None:
    t_ms, x = np.array([0.0, 1 / 3, 16.0]), np.array([0.1, -0.0, 3.0])
    rows = (
        Recording(t_ms, x, -x, "balabit", "u7", "s"),  # a table's u7 would be balabit/user7
        Recording(t_ms, x, x, "a", "no slash", "", (1.5, -2.0)),
        Recording(t_ms, x, x, "a", "é/NA", "null", (1.0, 2.0), 0.1),
    )
    found = RecordingSet(rows, 5, {"none": 0, "two": 2}, {"left out": 0})
    assert_same(converted(found, tmp_path / "c.parquet"), found)


def test_sets_come_one_after_another_and_row_groups_are_bounded(tmp_path: Path) -> None:
    one = Recording(np.array([0.0, 16.0]), np.arange(2.0), np.arange(2.0), "s", "u", "1")
    parts = [RecordingSet((one,) * count, count + 1, {"why": 1}, {"event": count}) for count in (PART + 1, 0, 2)]
    write_converted(parts, ["table"], tmp_path / "c.parquet")
    file = pq.ParquetFile(tmp_path / "c.parquet")
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [PART, 3]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    found = read_recordings("table", tmp_path / "c.parquet")
    assert (found.read, len(found.recordings), found.dropped) == (PART + 6, PART + 3, {"why": 3})
    assert found.repaired_events == {"event": PART + 3}


def test_recordings_of_which_none_is_kept_are_refused(tmp_path: Path) -> None:
    sets = [RecordingSet((), 7, {"why": 5, "other": 2})]
    with pytest.raises(ConfigError, match="expected a movement that is kept, but got none of 7; most are dropped: why"):
        write_converted(sets, ["table"], tmp_path / "c.parquet")
    assert not list(tmp_path.iterdir())


def test_a_folder_and_an_archive_of_converted_files_are_read(tmp_path: Path) -> None:
    EXAMPLES["table"](tmp_path)
    once = read_recordings("table", tmp_path / "mine.csv")
    for name in ("a", "b"):
        write_converted([once], ["table"], tmp_path / "all" / f"{name}.parquet")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(tmp_path / "all" / "a.parquet", "a.parquet")
    assert read_recordings("table", tmp_path / "all").read == 2 * once.read
    assert_same(read_recordings("table", tmp_path / "all.zip"), once)


def test_converted_recordings_are_guessed_as_a_table(tmp_path: Path) -> None:
    file = tmp_path / "c.parquet"
    write_converted([read_recordings("table", EXAMPLES["table"](tmp_path))], ["page"], file)
    assert guess_reader(file).name == "table"


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    def broken() -> Iterator[RecordingSet]:
        yield RecordingSet((), 0)
        raise RecordingError("a file is damaged")

    file = tmp_path / "c.parquet"
    file.write_bytes(b"old")
    with pytest.raises(RecordingError, match="a file is damaged"):
        write_converted(broken(), ["table"], file)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.read_bytes() == b"old"


def rewritten(file: Path, change: Callable[[str], str], rows: slice = slice(None)) -> None:
    """Write a converted file anew with changed metadata, and with some of its rows."""
    table = pq.read_table(file)
    text = pq.read_metadata(file).metadata[KEY.encode()].decode()
    part = table.slice(*rows.indices(table.num_rows)[:2])
    with pq.ParquetWriter(file, table.schema) as writer:
        writer.write_table(part)
        writer.add_key_value_metadata({KEY: change(text)})


def with_value(name: str, value: object) -> Callable[[str], str]:
    """Return a change of one value of the account, which leaves its hash as it is."""
    return lambda text: json.dumps({**json.loads(text), name: value})


ACCOUNT = "expected the account of converted recordings of version 1 in the metadata, but got"
DAMAGES: dict[str, tuple[Callable[[str], str], str]] = {
    "no JSON": (lambda text: text[: len(text) // 2], f"{ACCOUNT} no account"),
    "empty": (lambda text: "", f"{ACCOUNT} no account"),
    "a list": (lambda text: "[1, 2]", f"{ACCOUNT} no account"),
    "no mapping": (lambda text: "7", f"{ACCOUNT} no account"),
    "no text": (lambda text: '"\\ud800"', f"{ACCOUNT} no account"),
    "a version to come": (with_value("version", 2), f"{ACCOUNT} an account of version 2"),
    "another count": (with_value("read", 4), f"{ACCOUNT} one whose hash is another's"),
    "another reason": (with_value("dropped", {"why": 1}), f"{ACCOUNT} one whose hash is another's"),
    "no hash": (with_value("sha256", None), f"{ACCOUNT} one whose hash is another's"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_metadata_are_one_line(damage: str, tmp_path: Path) -> None:
    file, (change, message) = tmp_path / "c.parquet", DAMAGES[damage]
    write_converted([read_recordings("table", EXAMPLES["table"](tmp_path))], ["table"], file)
    rewritten(file, change)
    with pytest.raises(RecordingError) as error:
        read_recordings("table", file)
    assert str(error.value) == f"{file}: {message}; convert the recordings again"


def test_rows_that_are_not_those_of_the_account_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "c.parquet"
    write_converted([read_recordings("table", EXAMPLES["table"](tmp_path))], ["table"], file)
    rewritten(file, lambda text: text, slice(0, 2))
    with pytest.raises(
        RecordingError, match=r"expected 3 converted movements with the columns .*, but got 2 with t_ms"
    ):
        read_recordings("table", file)


def test_another_unit_of_time_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "c.parquet"
    write_converted([read_recordings("table", EXAMPLES["table"](tmp_path))], ["table"], file)
    with pytest.raises(RecordingError, match=r"which are in milliseconds, but got time_unit=s; leave it out"):
        read_recordings("table", file, time_unit="s")


def test_a_table_without_an_account_is_of_no_reader(tmp_path: Path) -> None:
    events().to_parquet(tmp_path / "t.parquet")
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    for name in ("t.parquet", "no.parquet"):
        assert readers_of(tmp_path / name) == ()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared recordings in ../shared/data are not here")
@pytest.mark.parametrize(
    ("reader", "name"),
    [("balabit", "raw/balabit"), ("sapimouse", "raw/sapimouse"), ("table", "humans_balabit.parquet")],
)
def test_real_recordings_are_read_back(reader: str, name: str, tmp_path: Path) -> None:
    expected = read_recordings(reader, SHARED / name)
    assert_same(converted(expected, tmp_path / "c.parquet", reader), expected)
