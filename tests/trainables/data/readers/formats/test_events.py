"""Logs of raw events, and tables as JSON lines: the names and units that recorders use."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.trainables.data.readers.examples import POINTS, STEP_MS, events, stream
from trainables.data.readers.cleaning import TOUCH
from trainables.data.readers.formats.events import MOVES, POSITION_COLUMNS, TIME_COLUMNS
from trainables.data.readers.recordings import RecordingError, RecordingSet, read_recordings
from trainables.data.readers.stream import NOT_A_MOVE

LINE = '{"t_ms": 1, "x": 10, "y": 2, "user": "a", "session": "b"}'


def log(folder: Path, frame: pd.DataFrame, name: str = "ann.csv", time_unit: str = "ms") -> RecordingSet:
    file = folder / name
    frame.to_csv(file, index=False)
    return read_recordings("events", file, time_unit=time_unit)


def lines(
    folder: Path, rows: Sequence[Mapping[Any, Any]], name: str = "ann.jsonl", source: str = "events"
) -> RecordingSet:
    file = folder / name
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return read_recordings(source, file)


@pytest.mark.parametrize("time", TIME_COLUMNS)
@pytest.mark.parametrize("position", POSITION_COLUMNS)
def test_columns_are_found_by_the_names_of_recorders(time: str, position: tuple[str, str], tmp_path: Path) -> None:
    frame = stream(1)[["x", "y", "t_ms"]].set_axis([*position, time], axis=1)
    result = log(tmp_path, frame.rename(columns=str.upper))
    assert [(r.source, r.user, r.session) for r in result.recordings] == [("ann", "ann", "ann")]
    assert result.recordings[0].x[0] == 100.0


@pytest.mark.parametrize(
    ("unit", "stamps"),
    [
        ("ms", 1.7e12 + stream()["t_ms"]),  # Date.now()
        ("ms", 812.3 + stream()["t_ms"].to_numpy()),  # performance.now()
        ("s", 1.7e9 + stream()["t_ms"] / 1e3),  # time.time()
        ("us", 1.7e15 + stream()["t_ms"] * 1e3),
        ("ns", (1.7e18 + stream()["t_ms"] * 1e6).astype("int64")),  # time.time_ns()
    ],
)
def test_times_of_any_clock_are_read_in_their_unit(unit: str, stamps: Any, tmp_path: Path) -> None:
    result = log(tmp_path, stream().assign(t_ms=stamps), time_unit=unit)
    assert len(result.recordings) == 3
    for recording in result.recordings:
        np.testing.assert_allclose(np.diff(recording.t_ms), STEP_MS, atol=2e-3)
    if unit != "ms":
        with pytest.raises(RecordingError, match=f"; set data.time_unit={unit}"):
            log(tmp_path, stream().assign(t_ms=stamps))


@pytest.mark.parametrize("name", MOVES)
def test_moves_by_any_name_are_moves(name: str, tmp_path: Path) -> None:
    result = log(tmp_path, stream().assign(type=f" {name.upper()} "))
    kept = 0 if name == "touchmove" else 3
    assert (len(result.recordings), result.dropped) == (kept, {} if kept else {TOUCH: 3})


def test_a_press_and_a_drag_end_a_movement_and_are_counted(tmp_path: Path) -> None:
    frame = stream(1).assign(event="move")
    frame.loc[[18, 23], "event"] = ["press", "release"]
    result = log(tmp_path, pd.concat([frame, stream(1).assign(event="move", t_ms=lambda f: f.t_ms + 1e4)]))
    assert result.repaired_events[NOT_A_MOVE] == 6  # the press, four moves of the drag, the release
    assert result.read == 3


def test_clicks_of_pynput_are_presses_and_releases(tmp_path: Path) -> None:
    frame = stream(1).assign(event="on_move", pressed="")
    frame.loc[[18, 23], "event"] = "on_click"
    frame.loc[[18, 23], "pressed"] = ["True", "False"]
    result = log(tmp_path, frame)
    assert (result.read, result.repaired_events[NOT_A_MOVE]) == (2, 6)


def test_the_buttons_of_a_pointer_event_make_a_drag(tmp_path: Path) -> None:
    buttons = np.where((np.arange(POINTS) >= 18) & (np.arange(POINTS) < 23), 1, 0)
    result = log(tmp_path, stream(1).assign(type="pointermove", buttons=buttons))
    assert (result.read, result.repaired_events[NOT_A_MOVE]) == (2, 5)


def test_only_a_mouse_is_kept_where_the_log_says_what_it_was(tmp_path: Path) -> None:
    kinds = np.repeat(["mouse", "touch", "pen"], POINTS)
    result = log(tmp_path, stream().assign(pointerType=kinds))
    assert (result.read, len(result.recordings), result.dropped) == (3, 1, {TOUCH: 2})


def test_users_and_sessions_may_be_columns_and_interleaved(tmp_path: Path) -> None:
    frame = pd.concat([stream(1).assign(user=user, session=1) for user in ("a", "b")]).sort_index(kind="stable")
    frame["type"] = np.where(np.arange(len(frame)) == 41, "scroll", "move")  # the scroll is of b
    result = log(tmp_path, frame)
    assert sorted(r.user for r in result.recordings if len(r.t_ms) > 30) == ["a"]
    assert (result.read, result.repaired_events[NOT_A_MOVE]) == (3, 1)


def test_events_of_other_kinds_need_no_position(tmp_path: Path) -> None:
    rows = [{"type": "mousemove", "t": t, "x": x, "y": y} for t, x, y in stream(1).itertuples(index=False)]
    result = lines(tmp_path, [{"type": "focus", "t": 0}, *rows, {"type": "keydown", "t": 9999}])
    assert (len(result.recordings), result.repaired_events[NOT_A_MOVE]) == (1, 2)


def test_a_json_file_is_a_list_of_events(tmp_path: Path) -> None:
    file = tmp_path / "ann.json"
    file.write_text(stream().to_json(orient="records"))
    assert len(read_recordings("events", file).recordings) == 3


@pytest.mark.parametrize(
    ("frame", "law"),
    [
        (stream().drop(columns="t_ms"), r"expected a column of times \(t_ms, t, .*\), but got x, y; rename"),
        (stream().drop(columns="y"), r"expected two columns of positions \(x and y, .*\), but got t_ms, x; rename"),
        (stream().assign(type="scroll"), r"expected moves in `type` \(one of move, .*\), but got none; log moves"),
        (stream().assign(type=["move", *[""] * 119]), "row 3: expected a value of `type`, but got nothing"),
        (stream().assign(x="left"), "row 2: expected `x` to be a finite number, but got 'left'"),
    ],
)
def test_what_a_log_lacks_is_one_line(frame: pd.DataFrame, law: str, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=law):
        log(tmp_path, frame)


def test_a_log_of_another_suffix_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"end in \.csv, \.tsv, \.jsonl, \.json, but got '\.log'; rename it"):
        log(tmp_path, stream(), name="ann.log")


def test_a_table_as_json_lines_holds_events_or_movements(tmp_path: Path) -> None:
    frame = events(1)
    of_events = lines(tmp_path, frame.to_dict("records"), source="table")
    row = {name: frame[name].tolist() for name in ("t_ms", "x", "y")}
    of_movements = lines(tmp_path, [{**row, "User": 7, "session": "s1"}] * 2, "b.jsonl", "table")
    assert [r.user for r in of_events.recordings] == ["u1"]
    assert [(r.user, r.x.tolist()) for r in of_movements.recordings] == [("7", row["x"])] * 2


@pytest.mark.parametrize(
    ("text", "law"),
    [
        (
            '{"t_ms": 1}\n{',
            "row 2: expected one JSON object per line, but got '{'; write one event",
        ),
        ("[1, 2]", r"row 1: expected one JSON object per line, but got '\[1, 2\]'"),
        ('{"t_ms": 1}', "missing column x, y, user, session; present: t_ms"),
        (
            f"{LINE}\n{LINE.replace('10', '[10]')}",
            "expected `x` of one type in all lines, numbers or lists of numbers, but got int, list; correct the lines",
        ),
        (
            f"{LINE}\n{LINE.replace('10', 'null')}",
            "row 2: expected `x` to be a finite number, but got nothing",
        ),
    ],
)
def test_damaged_json_lines_are_one_line(text: str, law: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(text)
    with pytest.raises(RecordingError, match=law):
        read_recordings("table", file)
