"""Properties of the default recordings and of the reader of all sources."""

import gzip
import hashlib
import importlib.metadata
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest

from tests.shared_data import SHARED
from tests.trainables.data.readers.examples import write_table
from trainables.core.config import ConfigError
from trainables.data.config import DataConfig, SourceConfig
from trainables.data.readers import cursory
from trainables.data.readers.recordings import (
    READERS,
    Recording,
    RecordingError,
    RecordingSet,
    concatenate,
    drop_table,
    read_data,
    read_recordings,
)

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings in ../shared/data are not here")


@pytest.fixture(scope="module")
def default() -> RecordingSet:
    return read_recordings("cursory")


@pytest.fixture(scope="module")
def raw() -> Any:
    """The file itself, read the plain way."""
    (entry,) = [f for f in importlib.metadata.files("cursory") or [] if f.name == "trajectories.json.gz"]
    with gzip.open(str(entry.locate())) as file:
        return json.load(file)


def recording(user: str = "a") -> Recording:
    values = np.arange(3, dtype=np.float64)
    return Recording(values, values, values, "test", user, "1")


class Entry:
    """A file of an installed package, as importlib.metadata lists it."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name

    def locate(self) -> Path:
        return self.path


def test_all_2356_recordings_of_65_groups_are_kept(default: RecordingSet) -> None:
    assert (len(default.recordings), default.read, default.dropped, default.repaired_events) == (2356, 2356, {}, {})
    assert len({r.user for r in default.recordings}) == 65
    assert {r.session for r in default.recordings} == {f"block{i}" for i in range(14)}


def test_named_users_are_of_another_source_than_the_blocks_of_unnamed_ones(default: RecordingSet) -> None:
    sources = {r.user: r.source for r in default.recordings}
    assert {user.partition("/")[0] == source for user, source in sources.items()} == {True}
    assert Counter(sources.values()) == {"sapimouse": 60, "cursory": 5}
    assert Counter(r.source for r in default.recordings) == {"sapimouse": 1069, "cursory": 1287}


def test_points_and_times_are_those_of_the_file_from_time_zero(
    default: RecordingSet, raw: list[dict[str, Any]]
) -> None:
    for found, row in zip(default.recordings, raw, strict=True):
        assert found.t_ms.tolist() == [t - row["timing"][0] for t in row["timing"]]
        assert list(zip(found.x.tolist(), found.y.tolist(), strict=True)) == [tuple(point) for point in row["points"]]


def test_the_facts_that_the_docstring_states(default: RecordingSet, raw: list[dict[str, Any]]) -> None:
    assert sum(row["timing"][0] != 0 for row in raw) == 1273
    assert sum((np.diff(row["timing"]) == 0).any() for row in raw) == 10
    assert sum(any(t != int(t) for t in row["timing"]) for row in raw) == 230
    assert sum(any(v != int(v) for point in row["points"] for v in point) for row in raw) == 34
    gaps = [np.diff(r.t_ms).max() for r in default.recordings]
    assert np.mean(np.array(gaps) > 100) == pytest.approx(0.27, abs=0.005)


def test_the_measured_sizes(default: RecordingSet) -> None:
    points = [len(r.t_ms) for r in default.recordings]
    durations_ms = [r.t_ms[-1] for r in default.recordings]
    distances_px = [np.hypot(r.x[-1] - r.x[0], r.y[-1] - r.y[0]) for r in default.recordings]
    assert [np.median(points), min(points), max(points)] == [45, 14, 148]
    assert [np.median(durations_ms), min(durations_ms), max(durations_ms)] == [712, 216, 5466]
    assert (round(np.median(distances_px)), round(min(distances_px)), round(max(distances_px))) == (665, 59, 2406)


def test_runs_of_rows_cover_the_file() -> None:
    rows = [row for row, _ in cursory.USER_STARTS]
    assert rows[0] == cursory.BLOCK_STARTS[0] == 0
    assert rows == sorted(set(rows))
    assert rows[-1] < cursory.UNKNOWN_FROM < 2356
    assert len({user for _, user in cursory.USER_STARTS}) == len(rows) == 60  # no user is in two runs
    assert list(cursory.BLOCK_STARTS) == sorted(set(cursory.BLOCK_STARTS))


def test_users_and_blocks_at_the_borders_of_the_runs(default: RecordingSet) -> None:
    named = {row: (default.recordings[row].user, default.recordings[row].session) for row in (0, 92, 93, 1068, 1069)}
    assert named == {
        0: ("sapimouse/user64", "block0"),
        92: ("sapimouse/user64", "block0"),
        93: ("sapimouse/user119", "block1"),
        1068: ("sapimouse/user11", "block9"),
        1069: ("cursory/block9", "block9"),
    }
    assert default.recordings[-1].user == "cursory/block13"


@needs_shared
def test_every_row_has_the_group_that_was_derived(default: RecordingSet) -> None:
    derived = pd.read_csv(SHARED / "cursory_groups.csv")
    for found, block, group in zip(default.recordings, derived.block, derived.group, strict=True):
        expected = group.replace("blk", "cursory/block") if group.startswith("blk") else f"sapimouse/{group}"
        assert (found.user, found.session) == (expected, f"block{block}")


@needs_shared
def test_users_of_the_default_data_have_the_same_name_in_the_sapimouse_table(default: RecordingSet) -> None:
    table = read_recordings("table", SHARED / "humans_sapimouse.parquet")
    known = {r.user for r in default.recordings if r.user.startswith("sapimouse/")}
    assert known == {r.user for r in table.recordings}


def digest(recordings: RecordingSet) -> str:
    state = hashlib.sha256()
    for r in recordings.recordings:
        state.update(repr((r.user, r.session, r.source)).encode() + r.t_ms.tobytes() + r.x.tobytes() + r.y.tobytes())
    return state.hexdigest()


def test_reading_gives_the_same_bytes_in_another_process_and_imports_nothing_of_the_package(
    default: RecordingSet,
) -> None:
    script = """
import hashlib, sys
from trainables.data.readers.recordings import read_recordings
state = hashlib.sha256()
for r in read_recordings("cursory").recordings:
    state.update(repr((r.user, r.session, r.source)).encode() + r.t_ms.tobytes() + r.x.tobytes() + r.y.tobytes())
print(state.hexdigest(), "cursory" in sys.modules)
"""
    root = Path(__file__).resolve().parents[4]
    run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [digest(default), "False"]


def test_a_missing_package_or_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(name: str) -> NoReturn:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", absent)
    with pytest.raises(RecordingError, match="the package cursory, which carries the recordings, is missing; install"):
        cursory.read_cursory()
    for files in (None, [], [Entry(tmp_path / "other.json")]):
        monkeypatch.setattr(importlib.metadata, "files", lambda name, files=files: files)
        with pytest.raises(RecordingError, match=r"holds no trajectories\.json\.gz; install cursory"):
            cursory.read_cursory()
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [Entry(tmp_path / "trajectories.json.gz")])
    with pytest.raises(RecordingError, match=r"trajectories\.json\.gz: cannot be read: .*No such file"):
        cursory.read_cursory()


@pytest.mark.parametrize(
    ("content", "law"),
    [
        (gzip.compress(b"[]", mtime=0), "expected the recordings of cursory 2.0.1 or 2.1.0 .*, but got 4f53cda18c2b"),
        (b"[]", "cannot be read: Not a gzipped file"),
        (gzip.compress(b"[]" * 99, mtime=0)[:-9], "cannot be read: Compressed file ended"),
    ],
    ids=["other recordings", "not gzipped", "cut off"],
)
def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, law: str) -> None:
    path = tmp_path / "trajectories.json.gz"
    path.write_bytes(content)
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [Entry(path)])
    with pytest.raises(RecordingError, match=law):
        cursory.read_cursory()


def test_an_unknown_source_and_a_path_too_many_or_missing(tmp_path: Path) -> None:
    with pytest.raises(
        RecordingError, match=r"expected `source` to be one of cursory, balabit, sapimouse, .*, but got 'cursori'"
    ):
        read_recordings("cursori")
    with pytest.raises(RecordingError, match="expected no `path` with source=cursory"):
        read_recordings("cursory", tmp_path)


@pytest.mark.parametrize("source", [name for name in READERS if name != "cursory"])
def test_every_other_source_needs_a_path_that_exists(source: str, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=f"expected a `path` with source={source}, but got none"):
        read_recordings(source)
    with pytest.raises(RecordingError, match="nothing-here: no such file or folder"):
        read_recordings(source, tmp_path / "nothing-here")


@pytest.mark.parametrize(
    ("t_ms", "x", "law"),
    [
        ([0.0], [1.0], "expected `2 <= len.*, but got 1, 1 and 1"),
        ([0.0, 1.0], [1.0, 2.0, 3.0], r"== len\(y\)`, but got 2, 3 and 2"),
        ([0.0, 1.0], [1.0, np.nan], "expected finite `x`, but got nan;"),
        ([0.0, np.inf], [1.0, 2.0], "expected finite `t_ms`, but got inf;"),
        ([5.0, 6.0], [1.0, 2.0], r"expected `t_ms\[0\] == 0`, but got 5.0;"),
        ([0.0, 2.0, 1.0], [1.0, 2.0, 3.0], "expected `t_ms` not to decrease, but got 1.0 after 2.0;"),
    ],
)
def test_a_recording_checks_itself(t_ms: list[float], x: list[float], law: str) -> None:
    with pytest.raises(RecordingError, match=f"a movement of me, session s: .*{law}"):
        Recording(np.array(t_ms), np.array(x), np.zeros(len(t_ms)), "test", "me", "s")


@pytest.mark.parametrize(
    ("target", "width_px"), [((1.0, 2.0), 0.0), ((1.0, 2.0), np.inf), ((1.0, 2.0), np.nan), (None, 16.0)]
)
def test_a_target_width_is_above_zero_and_of_a_target(target: tuple[float, float] | None, width_px: float) -> None:
    with pytest.raises(RecordingError, match=f"expected `0 < target_width_px < inf` of a `target`, but got {width_px}"):
        Recording(np.arange(2.0), np.zeros(2), np.zeros(2), "test", "me", "s", target, width_px)
    assert (
        Recording(np.arange(2.0), np.zeros(2), np.zeros(2), "test", "me", "s", (1.0, 2.0), 16.0).target_width_px == 16
    )


def test_equal_times_are_allowed() -> None:
    assert Recording(np.array([0.0, 0.0, 1.0]), np.zeros(3), np.zeros(3), "a", "b", "c").target is None


def test_an_account_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"expected `read == kept \+ dropped`, but got read=3, kept=1, dropped=1"):
        RecordingSet((recording(),), 3, {"reason": 1})


def test_concatenation_keeps_the_order_and_adds_the_counts() -> None:
    first = RecordingSet((recording(user="a"), recording(user="b")), 5, {"short": 2, "still": 1}, {"twice": 4})
    second = RecordingSet((recording(user="c"),), 2, {"short": 1}, {"twice": 1, "lost": 2})
    both = concatenate([first, second])
    assert [r.user for r in both.recordings] == ["a", "b", "c"]
    assert (both.read, both.dropped) == (7, {"short": 3, "still": 1})
    assert both.repaired_events == {"twice": 5, "lost": 2}
    assert concatenate([]) == RecordingSet((), 0)


def test_the_table_of_drops_is_aligned_and_complete() -> None:
    counts = RecordingSet((recording(),) * 1500, 2000, {"still": 100, "fewer than 8 points": 400}, {"lost": 12345})
    assert drop_table(counts).splitlines() == [
        "movements             count    share",
        "read                  2,000  100.0 %",
        "fewer than 8 points     400   20.0 %",
        "still                   100    5.0 %",
        "kept                  1,500   75.0 %",
        "raw events            count",
        "lost                 12,345",
    ]
    assert drop_table(RecordingSet((), 0)).splitlines() == [
        "movements   count    share",
        "read            0        -",
        "kept            0        -",
    ]


def test_group_sizes_have_no_gap(default: RecordingSet) -> None:
    sizes = Counter(r.user for r in default.recordings)
    assert sizes["sapimouse/user64"] == 93
    assert sizes["cursory/block12"] == 564
    assert min(sizes.values()) == 1


def test_the_unit_of_time_is_a_key_of_one_source_and_of_several(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    frame = pd.read_csv(path)
    frame.assign(t_ms=frame["t_ms"] / 1e3).to_csv(path, index=False)
    one = DataConfig("table", str(path), time_unit="s")
    several = DataConfig(sources=(SourceConfig("table", str(path), "lab", time_unit="s"),))
    found = [read_data(config).recordings for config in (one, several)]
    assert [len(recordings) for recordings in found] == [3, 3]
    assert found[0][0].t_ms.tolist() == found[1][0].t_ms.tolist()
    with pytest.raises(RecordingError, match=r"looks like seconds; set data\.time_unit=s"):
        read_data(DataConfig("table", str(path)))
    with pytest.raises(ConfigError, match=r"expected `time_unit` in \{ms, ns, s, us\}, but got time_unit=min"):
        DataConfig("table", str(path), time_unit="min")
