"""Tables of recordings: both layouts, and every error with its file and row."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.shared_data import SHARED
from trainables.data.readers.cleaning import CLOCK_BACK, EDGE, SAME_TIME, SILENT_START
from trainables.data.readers.movement_rows import TOO_SHORT
from trainables.data.readers.recordings import RecordingError, RecordingSet, read_recordings
from trainables.data.readers.segment import SAMPLE_RULE, SLOW_SESSION
from trainables.data.readers.stream import STILL
from trainables.data.readers.table import read_table

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings in ../shared/data are not here")


def events(points: int = 12, start_ms: float = 1000.0, step_ms: float = 16.0, **columns: Any) -> pd.DataFrame:
    """A straight movement, one row per event."""
    steps = np.arange(points)
    frame = pd.DataFrame(
        {"t_ms": start_ms + step_ms * steps, "x": 10.0 * steps, "y": 50.0, "user": "7", "session": "1"}
    )
    return frame.assign(**columns)


def lists(**columns: Any) -> pd.DataFrame:
    """Two movements, one row each."""
    frame = pd.DataFrame(
        {
            "t_ms": [[100, 116, 132], [0, 16]],
            "x": [[1, 2, 3], [4, 5]],
            "y": [[1, 1, 1], [2, 2]],
            "user": ["u1", "u2"],
            "session": ["a", "b"],
        }
    )
    return frame.assign(**columns)


def save(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return path


def read(frame: pd.DataFrame, path: Path) -> RecordingSet:
    return read_recordings("table", save(frame, path))


def first_row(path: Path) -> int:
    return 2 if path.suffix == ".csv" else 1  # a CSV file's header is row 1


@pytest.fixture(params=["mine.csv", "mine.parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def test_a_stream_becomes_movements_from_time_zero(path: Path) -> None:
    frame = pd.concat([events(), events(start_ms=2000.0)])
    result = read(frame, path)
    assert [r.t_ms.tolist() for r in result.recordings] == [[16.0 * i for i in range(12)]] * 2
    assert result.recordings[0].x.tolist() == [10.0 * i for i in range(12)]
    assert [(r.source, r.user, r.session, r.target) for r in result.recordings] == [("mine", "7", "1", None)] * 2


def test_interleaved_streams_are_distinguished_by_user_and_session(path: Path) -> None:
    streams = [events(user="a"), events(user="b", x=np.arange(12) * 7.0), events(user="a", session="2")]
    mixed = pd.concat(streams).sort_index(kind="stable")
    result = read(mixed, path)
    assert [(r.user, r.session, r.x[-1]) for r in result.recordings] == [
        ("a", "1", 110.0),
        ("b", "1", 77.0),
        ("a", "2", 110.0),
    ]


def test_names_stay_text(path: Path) -> None:
    frame = events(user="007", session="NA") if path.suffix == ".csv" else events(user=7, session=3)
    (recording,) = read(frame, path).recordings
    assert (recording.user, recording.session) == (("007", "NA") if path.suffix == ".csv" else ("7", "3"))


def test_a_source_column_names_the_group_once(path: Path) -> None:
    frame = pd.concat([events(user="u1"), events(user="lab/u1", session="2"), events(user="u1", session="3")])
    frame["source"] = ["lab"] * 24 + ["balabit"] * 12
    result = read(frame, path)
    assert [(r.source, r.user) for r in result.recordings] == [
        ("lab", "lab/u1"),
        ("lab", "lab/u1"),
        ("balabit", "balabit/user1"),
    ]


def test_a_new_target_begins_a_movement(path: Path) -> None:
    frame = events(24, target_x=[300.0] * 12 + [20.0] * 12, target_y=5.0)
    result = read(frame, path)
    assert [(len(r.t_ms), r.target) for r in result.recordings] == [(12, (300.0, 5.0)), (12, (20.0, 5.0))]
    assert len(read(events(24, target_x=300.0, target_y=5.0), path).recordings) == 1


def aims(result: RecordingSet) -> list[tuple[int, tuple[float, float] | None, float | None]]:
    return [(len(r.t_ms), r.target, r.target_width_px) for r in result.recordings]


def test_a_target_of_another_width_begins_a_movement(path: Path) -> None:
    """An unknown width differs from every known one; two unknown ones are equal."""
    widths = [16.0] * 10 + [32.0] * 10 + [np.nan] * 10 + [32.0] * 10
    here = (300.0, 5.0)
    result = read(events(40, target_x=300.0, target_y=5.0, target_width=widths), path)
    assert aims(result) == [(10, here, 16.0), (10, here, 32.0), (10, here, None), (10, here, 32.0)]
    for same, known in ((16.0, 16.0), (np.nan, None)):
        unchanged = read(events(40, target_x=300.0, target_y=5.0, target_width=same), path)
        assert aims(unchanged) == [(40, here, known)]


def test_widths_follow_their_streams_when_these_are_interleaved(path: Path) -> None:
    streams = [
        events(user=user, target_x=1.0, target_y=2.0, target_width=width) for user, width in (("a", 8.0), ("b", np.nan))
    ]
    result = read(pd.concat(streams).sort_index(kind="stable"), path)
    assert [(r.user, r.target_width_px) for r in result.recordings] == [("a", 8.0), ("b", None)]


def test_a_width_needs_a_target(path: Path) -> None:
    with pytest.raises(RecordingError, match="missing column target_x, target_y; present: "):
        read(events(target_width=16.0), path)


@pytest.mark.parametrize(
    ("value", "law"),
    [
        (0.0, "expected `target_width` to be above 0, or empty where it is unknown, but got 0"),
        (-3.0, "expected `target_width` to be above 0, or empty where it is unknown, but got -3"),
        (np.inf, "expected `target_width` to be a finite number, but got 'inf'"),
    ],
)
def test_a_width_that_is_none_is_named_with_its_row(path: Path, value: float, law: str) -> None:
    frame = events(target_x=1.0, target_y=2.0, target_width=[np.nan] * 5 + [value] * 7)
    with pytest.raises(RecordingError) as error:
        read(frame, path)
    assert str(error.value) == f"{path}, row {5 + first_row(path)}: {law}"


def test_words_are_no_width(tmp_path: Path) -> None:
    frame = events(target_x=1.0, target_y=2.0, target_width=["", "wide", *[""] * 10])
    with pytest.raises(RecordingError, match="row 3: expected `target_width` to be a finite number, but got 'wide'"):
        read(frame, tmp_path / "mine.csv")


def test_movements_dropped_by_the_rule_are_counted(path: Path) -> None:
    still = events(3, x=0.0, start_ms=952.0)
    frame = pd.concat([still, events(), events(5, session="2"), events(20, session="3", step_ms=109.0)])
    result = read(frame, path)
    assert (result.read, len(result.recordings)) == (3, 1)
    assert result.dropped == {"fewer than 8 points": 1, SLOW_SESSION: 1}
    assert result.repaired_events == {STILL: 3}


@pytest.mark.parametrize("column", ["t_ms", "x", "y", "target_x", "target_y"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_no_finite_number_is_named_with_its_row(path: Path, column: str, value: float) -> None:
    frame = events(target_x=1.0, target_y=2.0)
    frame.loc[5, column] = value
    with pytest.raises(RecordingError) as error:
        read(frame, path)
    half = column.startswith("target") and np.isnan(value)  # an empty target is one that is not known
    law = "both of target_x, target_y where one of them" if half else f"`{column}` to be a finite number, but got "
    assert str(error.value).startswith(f"{path}, row {5 + first_row(path)}: expected {law}")


def test_where_the_target_is_empty_it_is_not_known(path: Path) -> None:
    """A movement without a target between two with one, which ends them; one begins where it is known again."""
    parts = [events(target_x=1.0, target_y=2.0), events(start_ms=1000.0), events(start_ms=1900.0)]
    frame = pd.concat([*parts[:2], parts[2].assign(target_x=3.0, target_y=4.0)])
    assert [one.target for one in read(frame, path).recordings] == [(1.0, 2.0), None, (3.0, 4.0)]
    nowhere = frame.assign(target_x=np.nan, target_y=np.nan)
    assert {one.target for one in read(nowhere, path).recordings} == {None}


@pytest.mark.parametrize("column", ["user", "session", "source"])
def test_a_missing_name_is_named_with_its_row(path: Path, column: str) -> None:
    frame = events(source="lab")
    frame.loc[4, column] = None
    with pytest.raises(RecordingError, match=f"row {4 + first_row(path)}: expected a value of `{column}`, but got"):
        read(frame, path)


def test_a_movement_during_which_the_clock_runs_back_is_dropped(path: Path) -> None:
    parts = [events(user="a"), events(24, user="b"), events(24, user="b", start_ms=3000.0)]
    frame = pd.concat(parts, ignore_index=True)
    frame.loc[[20], "t_ms"] = 12.0  # of the first movement of b
    result = read(frame, path)
    assert [(r.user, len(r.t_ms)) for r in result.recordings] == [("a", 12), ("b", 24)]
    assert (result.read, result.dropped) == (3, {CLOCK_BACK: 1})


def test_a_time_that_decreases_in_samples_is_named_with_its_row(path: Path) -> None:
    frame = pd.concat([events(user="a"), events(user="b")]).sort_index(kind="stable").reset_index(drop=True)
    frame.loc[[15], "t_ms"] = 1105.0  # of b, whose row before is 13
    frame.loc[[13], "t_ms"] = 1120.0
    with pytest.raises(RecordingError) as error:
        read_table(save(frame, path), rule=SAMPLE_RULE)
    assert str(error.value) == (
        f"{path}, row {15 + first_row(path)}: expected `t_ms` not to decrease within a session, "
        "but got 1105.0 after 1120.0; "
        "sort the rows by time, or name another session where a clock starts anew"
    )


def test_of_several_rows_whose_time_decreases_the_first_of_the_file_is_named(path: Path) -> None:
    frame = pd.concat([events(user="a"), events(user="b")]).sort_index(kind="stable").reset_index(drop=True)
    frame.loc[[11, 20], "t_ms"] = 0.0  # row 11 is b's, row 20 is a's
    with pytest.raises(RecordingError, match=rf"row {11 + first_row(path)}: expected `t_ms` not to decrease"):
        read_table(save(frame, path), rule=SAMPLE_RULE)


def test_of_equal_times_the_last_holds_and_the_earlier_ones_are_counted(path: Path) -> None:
    frame = events()
    frame.loc[[5], "t_ms"] = 1064.0  # that of the row before
    result = read(frame, path)
    assert result.recordings[0].x.tolist() == [10.0 * i for i in range(12) if i != 4]
    assert result.repaired_events == {SAME_TIME: 1}


@pytest.mark.parametrize("column", ["t_ms", "x", "y", "user", "session"])
def test_a_missing_column_is_named_with_those_that_are_there(path: Path, column: str) -> None:
    rest = ", ".join(name for name in ("t_ms", "x", "y", "user", "session") if name != column)
    with pytest.raises(RecordingError, match=f"mine.*: missing column {column}; present: {rest}"):
        read(events().drop(columns=column), path)


def test_half_a_target_is_refused(path: Path) -> None:
    with pytest.raises(RecordingError, match="missing column target_y; present: "):
        read(events(target_x=1.0), path)


def test_files_without_rows_or_sense(path: Path) -> None:
    with pytest.raises(RecordingError, match="the file holds no rows"):
        read(events().iloc[:0], path)
    path.write_bytes(b"\xff\x00\x01")
    with pytest.raises(RecordingError, match=r"mine\.\w+: cannot be read as (text|Parquet)"):
        read_recordings("table", path)
    path.write_bytes(b"")
    with pytest.raises(RecordingError, match=r"the file is empty|cannot be read as Parquet"):
        read_recordings("table", path)


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.xlsx").write_text("")
    with pytest.raises(RecordingError, match=r"end in \.csv, \.tsv, \.parquet or \.jsonl, but got '\.xlsx'; rename it"):
        read_recordings("table", tmp_path / "mine.xlsx")


@pytest.mark.parametrize(("ends", "head"), [("\n", ""), ("\r\n", ""), ("\n", "\ufeff"), ("\r\n", "\ufeff")])
def test_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path, ends: str, head: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes((head + events().to_csv(index=False, lineterminator=ends)).encode())
    (recording,) = read_recordings("table", path).recordings
    assert recording.x.tolist() == [10.0 * i for i in range(12)]
    broken = path.read_text(encoding="utf-8").replace("70.0", "seventy")
    path.write_bytes(broken.encode())
    with pytest.raises(RecordingError, match="row 9: expected `x` to be a finite number, but got 'seventy'"):
        read_recordings("table", path)


def test_movements_in_lists_are_taken_as_they_are(tmp_path: Path) -> None:
    result = read(lists(), tmp_path / "mine.parquet")
    assert [r.t_ms.tolist() for r in result.recordings] == [[0.0, 16.0, 32.0], [0.0, 16.0]]
    assert [r.x.tolist() for r in result.recordings] == [[1.0, 2.0, 3.0], [4.0, 5.0]]
    assert [(r.source, r.user, r.session) for r in result.recordings] == [("mine", "u1", "a"), ("mine", "u2", "b")]
    assert (result.read, result.dropped) == (2, {})


def test_movements_in_lists_may_have_targets_and_widths(tmp_path: Path) -> None:
    path, target = tmp_path / "mine.parquet", {"target_x": [3.0, 5.0], "target_y": [1, 2]}
    assert aims(read(lists(**target), path)) == [(3, (3.0, 1.0), None), (2, (5.0, 2.0), None)]
    wide = read(lists(**target, target_width=[16, None]), path)
    assert aims(wide) == [(3, (3.0, 1.0), 16.0), (2, (5.0, 2.0), None)]
    single = lists(t_ms=[[5], [0, 16]], x=[[1], [4, 5]], y=[[1], [2, 2]], **target, target_width=[16, 8])
    assert aims(read(single, path)) == [(2, (5.0, 2.0), 8.0)]


def test_movements_of_a_single_point_are_dropped_and_counted(tmp_path: Path) -> None:
    frame = lists(t_ms=[[5], [0, 16]], x=[[1], [4, 5]], y=[[1], [2, 2]])
    result = read(
        pd.concat([frame, lists(t_ms=[[], [0, 1]], x=[[], [4, 5]], y=[[], [2, 2]])]), tmp_path / "mine.parquet"
    )
    assert (result.read, len(result.recordings), result.dropped) == (4, 2, {TOO_SHORT: 2})
    assert [r.user for r in result.recordings] == ["u2", "u2"]


@pytest.mark.parametrize(
    ("columns", "law"),
    [
        ({"x": [[1, 2, 3], [4]]}, "row 2: expected `x` to be as long as `t_ms`, but got 1 and 2 values"),
        ({"y": [[1.0, 1.0, 1.0], [2.0, None]]}, "row 2: expected `y` to hold finite numbers, but got nan"),
        ({"x": [[1.0, np.inf, 1.0], [2.0, 2.0]]}, "row 1: expected `x` to hold finite numbers, but got inf"),
        ({"x": [[1, 2, 3], None]}, "row 2: expected `x` to be a list, but got nothing"),
        ({"user": ["u1", None]}, "row 2: expected a value of `user`, but got nothing;"),
        ({"user": ["u1", ""]}, "row 2: expected a value of `user`, but got nothing;"),
        ({"user": [["u1"], ["u2"]]}, "expected `user` to hold one text in a row, but got list"),
        ({"x": [[True, False, True], [True, False]]}, "expected `x` to hold lists of numbers, but got list"),
        ({"target_width": [1.0, 2.0]}, "missing column target_x, target_y; present: "),
        (
            {"target_x": 1.0, "target_y": 1.0, "target_width": [2.0, 0.0]},
            "row 2: expected `target_width` to be above 0",
        ),
        (
            {"target_x": [1.0, None], "target_y": 1.0},
            "row 2: expected both of target_x, target_y where one of them or `target_width` is given",
        ),
        ({"y": [5, 6]}, "but got `y` of int64; write all three alike"),
        ({"x": [["a", "b", "c"], ["d", "e"]]}, "expected `x` to hold lists of numbers, but got list"),
    ],
)
def test_errors_of_movements_in_lists(tmp_path: Path, columns: dict[str, Any], law: str) -> None:
    path = tmp_path / "mine.parquet"
    with pytest.raises(RecordingError) as error:
        read(lists(**columns), path)
    assert str(error.value).startswith(str(path))
    assert law in str(error.value)


def test_a_list_table_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    save(lists(), path)
    empty = pd.read_parquet(path).iloc[:0]
    with pytest.raises(RecordingError, match="holds no rows"):
        read(empty, path)


def test_a_movement_in_a_list_whose_clock_runs_back_is_dropped_and_in_samples_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    result = read(lists(t_ms=[[0, 16, 32], [16, 0]]), path)
    assert (len(result.recordings), result.dropped) == (1, {CLOCK_BACK: 1})
    law = "row 2: expected `t_ms` not to decrease within a movement, but got 0.0 after 16.0"
    with pytest.raises(RecordingError, match=law):
        read_table(path, rule=SAMPLE_RULE)


@needs_shared
@pytest.mark.parametrize(
    ("name", "count", "pressed", "silent", "users", "one"),
    [
        ("sapimouse", 11162, 1, 2106, 60, "sapimouse/user51"),
        ("balabit", 6675, 102, 301, 2, "balabit/user7"),
    ],
)
def test_the_tables_of_users(name: str, count: int, pressed: int, silent: int, users: int, one: str) -> None:
    path = SHARED / f"humans_{name}.parquet"
    result = read_recordings("table", path)
    assert (result.read, result.dropped) == (count, {EDGE: pressed})
    assert result.repaired_events == {SILENT_START: silent}
    names = {r.user for r in result.recordings}
    assert len(names) == users
    assert one in names
    result = read_table(path, rule=SAMPLE_RULE)
    assert len(result.recordings) == count
    for row in (0, 17, count - 1):
        expected = pd.read_parquet(path).iloc[row]
        assert result.recordings[row].x.tolist() == [float(value) for value in expected.x]
        assert result.recordings[row].t_ms.tolist() == [float(value - expected.t_ms[0]) for value in expected.t_ms]
