"""Properties of the raw session readers: every known defect of the files, made small."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.shared_data import SHARED
from trainables.data.readers.cleaning import CLOCK_BACK, EDGE, SAME_TIME, SILENT_START
from trainables.data.readers.raw import DUPLICATE, NOWHERE, read_balabit, read_sapimouse
from trainables.data.readers.recordings import RecordingError
from trainables.data.readers.segment import SLOW_SESSION, MovementRule
from trainables.data.readers.stream import CLOCK_BACK_BETWEEN, JUMP, NOT_A_MOVE, STILL

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings in ../shared/data are not here")

READ = {"balabit": read_balabit, "sapimouse": read_sapimouse}
HEADER = {
    "balabit": "record timestamp,client timestamp,button,state,x,y",
    "sapimouse": "client timestamp,button,state,x,y",
}


Event = tuple[int, str, int, int]


def moves(count: int = 12, start_ms: int = 0, step_ms: int = 16, start_px: int = 100) -> list[Event]:
    """Events (time in ms, state, x, y) of a straight movement."""
    return [(start_ms + i * step_ms, "Move", start_px + i * 10, 50) for i in range(count)]


def line(source: str, event: Event) -> str:
    t_ms, state, x, y = event
    button = "NoButton" if state in ("Move", "Drag") else "Scroll" if state in ("Up", "Down") else "Left"
    if source == "balabit":
        rounding = 2e-7 if x % 20 else -2e-7  # as the clocks of the files do
        return f"{t_ms / 1000 + 3},{t_ms / 1000 + rounding:.9f},{button},{state},{x},{y}"
    return f"{t_ms},{button},{state},{x},{y}"


def write(
    folder: Path,
    source: str,
    events: list[Event],
    name: str = "session_1",
    user: str = "user7",
    ends: str = "\n",
    head: str = "",
) -> Path:
    path = folder / user / (f"{name}.csv" if source == "sapimouse" else name)
    path.parent.mkdir(exist_ok=True)
    text = ends.join([HEADER[source], *(line(source, event) for event in events)]) + ends
    path.write_bytes((head + text).encode())
    return path


@pytest.fixture(params=["balabit", "sapimouse"])
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_clean_session_is_one_movement(tmp_path: Path, source: str) -> None:
    result = READ[source](write(tmp_path, source, moves(start_ms=5000)))
    (recording,) = result.recordings
    assert recording.t_ms.tolist() == [16.0 * i for i in range(12)]  # whole milliseconds from 0
    assert recording.x.tolist() == [100.0 + 10 * i for i in range(12)]
    assert recording.y.tolist() == [50.0] * 12
    assert (recording.source, recording.user, recording.session) == (source, f"{source}/user7", "1")
    assert (result.read, result.dropped, result.repaired_events) == (1, {}, {})


def test_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path, source: str) -> None:
    plain = READ[source](write(tmp_path, source, moves()))
    other = READ[source](write(tmp_path, source, moves(), ends="\r\n", head="\ufeff"))
    assert other.recordings[0].x.tolist() == plain.recordings[0].x.tolist()
    assert other.recordings[0].t_ms.tolist() == plain.recordings[0].t_ms.tolist()


@pytest.mark.parametrize("state", ["Pressed", "Released", "Drag", "Up", "Down"])
def test_every_event_but_a_move_ends_a_movement(tmp_path: Path, source: str, state: str) -> None:
    events = [*moves(), (180, state, 210, 50), *moves(start_ms=192, start_px=220)]
    result = READ[source](write(tmp_path, source, events))
    assert [len(r.t_ms) for r in result.recordings] == [12, 12]
    assert result.repaired_events == {NOT_A_MOVE: 1}


def test_a_pause_ends_a_movement(tmp_path: Path, source: str) -> None:
    events = [*moves(), *moves(start_ms=176 + 251, start_px=220)]
    assert len(READ[source](write(tmp_path, source, events)).recordings) == 2
    events = [*moves(), *moves(start_ms=176 + 250, start_px=220)]
    assert len(READ[source](write(tmp_path, source, events)).recordings) == 1


@pytest.mark.parametrize("nowhere", [(65535, 65535), (65535, 50), (160, 65535)])
def test_invalid_coordinates_are_left_out_and_counted(tmp_path: Path, source: str, nowhere: tuple[int, int]) -> None:
    events = moves()
    events[6] = (events[6][0], "Move", *nowhere)
    result = READ[source](write(tmp_path, source, events))
    assert result.recordings[0].x.tolist() == [100.0 + 10 * i for i in range(12) if i != 6]
    assert result.repaired_events == {NOWHERE: 1}


def test_repeated_rows_are_left_out_and_counted(tmp_path: Path, source: str) -> None:
    events = moves()
    result = READ[source](write(tmp_path, source, [*events[:4], events[3], events[3], *events[4:]]))
    assert result.recordings[0].x.tolist() == [event[2] for event in events]
    assert result.repaired_events == {DUPLICATE: 2}


def test_of_moves_in_one_millisecond_the_last_holds(tmp_path: Path, source: str) -> None:
    events = moves()
    early = [(events[5][0], "Move", 1, 1), (events[5][0], "Move", 2, 2)]
    result = READ[source](write(tmp_path, source, [*events[:5], *early, *events[5:]]))
    assert result.recordings[0].x.tolist() == [event[2] for event in events]
    assert result.repaired_events == {SAME_TIME: 2}


def test_a_press_between_two_moves_of_one_millisecond_keeps_both(tmp_path: Path, source: str) -> None:
    events = [*moves(), (176, "Pressed", 210, 50), *moves(start_ms=176, start_px=210)]
    result = READ[source](write(tmp_path, source, events))
    assert [len(r.t_ms) for r in result.recordings] == [12, 12]
    assert result.repaired_events == {NOT_A_MOVE: 1}


def test_the_cut_remains_when_the_first_move_after_a_press_is_replaced(tmp_path: Path, source: str) -> None:
    after = moves(start_ms=192, start_px=220)
    events = [*moves(), (180, "Pressed", 210, 50), (192, "Move", 219, 50), *after]
    result = READ[source](write(tmp_path, source, events))
    assert [r.x[0] for r in result.recordings] == [100.0, 220.0]
    assert result.repaired_events == {NOT_A_MOVE: 1, SAME_TIME: 1}


def test_a_movement_during_which_the_clock_wraps_is_dropped(tmp_path: Path, source: str) -> None:
    events = [*moves(start_ms=4_294_967_000), *moves(start_ms=3, start_px=220), *moves(start_ms=900, start_px=340)]
    result = READ[source](write(tmp_path, source, events))
    assert [r.x[0] for r in result.recordings] == [340.0]
    assert (result.read, result.dropped, result.repaired_events) == (2, {CLOCK_BACK: 1}, {})


def test_a_clock_that_runs_backwards_at_a_press_is_counted_too(tmp_path: Path, source: str) -> None:
    events = [*moves(start_ms=9000), (9180, "Pressed", 210, 50), *moves(start_ms=3, start_px=220)]
    result = READ[source](write(tmp_path, source, events))
    assert [len(r.t_ms) for r in result.recordings] == [12, 12]
    assert result.repaired_events == {NOT_A_MOVE: 1, CLOCK_BACK_BETWEEN: 1}


def test_a_pointer_that_a_drag_carried_away_has_not_leapt(tmp_path: Path, source: str) -> None:
    events = [*moves(), (180, "Drag", 400, 50), (190, "Drag", 700, 50), *moves(start_ms=200, start_px=710)]
    result = READ[source](write(tmp_path, source, events))
    assert [r.x[0] for r in result.recordings] == [100.0, 710.0]
    assert result.repaired_events == {NOT_A_MOVE: 2}


def test_a_leap_breaks_the_movement(tmp_path: Path, source: str) -> None:
    events = [*moves(), *moves(start_ms=192, start_px=520)]  # 310 px in 16 ms
    result = READ[source](write(tmp_path, source, events))
    assert [r.x[0] for r in result.recordings] == [100.0, 520.0]
    assert result.repaired_events == {JUMP: 1}


def test_still_ends_are_trimmed_and_counted(tmp_path: Path, source: str) -> None:
    rest = [(i * 16, "Move", 100, 50) for i in range(3)]
    result = READ[source](write(tmp_path, source, [*rest, *moves(start_ms=48)]))
    assert len(result.recordings[0].t_ms) == 12
    assert result.repaired_events == {STILL: 3}


def test_a_slow_session_is_dropped_with_its_reason(tmp_path: Path, source: str) -> None:
    slow = moves(step_ms=109)
    write(tmp_path, source, [*slow, (1300, "Pressed", 210, 50), *moves(start_ms=2000, step_ms=109)], user="user15")
    write(tmp_path, source, moves(), user="user7")
    result = READ[source](tmp_path)
    assert (result.read, len(result.recordings), result.dropped) == (3, 1, {SLOW_SESSION: 2})


def test_the_rule_of_the_caller_decides(tmp_path: Path, source: str) -> None:
    path = write(tmp_path, source, moves(count=7))
    assert READ[source](path).dropped == {"fewer than 8 points": 1}
    assert len(READ[source](path, MovementRule(minimum_points=7, minimum_duration_ms=50.0)).recordings) == 1


def test_a_folder_gives_its_sessions_in_a_fixed_order_and_ignores_other_files(tmp_path: Path, source: str) -> None:
    for user, name in [("user9", "session_1"), ("user12", "session_2020_10_14_1min"), ("user12", "session_1")]:
        write(tmp_path, source, moves(), name, user)
    (tmp_path / "user9" / "notes.txt").write_text("not a session")
    found = [(r.user, r.session) for r in READ[source](tmp_path).recordings]
    expected = [("user12", "1"), ("user12", "2020_10_14_1min"), ("user9", "1")]
    assert found == [(f"{source}/{user}", session) for user, session in expected]


def test_a_session_of_clicks_alone_holds_no_movement(tmp_path: Path, source: str) -> None:
    result = READ[source](write(tmp_path, source, [(10, "Pressed", 5, 5), (20, "Released", 5, 5)]))
    assert (result.recordings, result.read, result.repaired_events) == ((), 0, {NOT_A_MOVE: 2})


def test_with_all_defects_at_once_every_event_is_in_a_movement_or_counted(tmp_path: Path, source: str) -> None:
    rng = np.random.default_rng(0)
    events: list[Event] = []
    t_ms, x = 1_000_000, 5000
    for _ in range(3000):
        kind = rng.choice(
            ["move", "repeat", "nowhere", "same", "press", "reset", "leap", "pause"], p=[0.93, *[0.01] * 7]
        )
        if kind == "repeat" and events:
            events.append(events[-1])
            continue
        if kind == "reset":  # at a press, since a movement during which the clock runs back is dropped
            events.append((t_ms, "Pressed", x, 50))
        t_ms += {"same": 0, "reset": -1000, "pause": 400}.get(kind, 16)
        x += 400 if kind == "leap" else 10
        events.append((t_ms, "Pressed" if kind == "press" else "Move", 65535 if kind == "nowhere" else x, 50))
    result = READ[source](write(tmp_path, source, events), MovementRule(2, 1e-9, 1e-9, 1e12))
    left_out = sum(
        result.repaired_events.get(reason, 0) for reason in (DUPLICATE, NOT_A_MOVE, NOWHERE, SAME_TIME, STILL)
    )
    points = sum(len(r.t_ms) for r in result.recordings)
    assert set(result.repaired_events) >= {DUPLICATE, NOT_A_MOVE, NOWHERE, SAME_TIME, CLOCK_BACK_BETWEEN, JUMP}
    assert set(result.dropped) == {"fewer than 2 points"}  # each of a single event
    assert points + left_out + result.dropped["fewer than 2 points"] == len(events)


def test_errors_name_the_file_and_the_row(tmp_path: Path, source: str) -> None:
    read = READ[source]

    def broken(row: int, text: Callable[[str], str]) -> Path:
        path = write(tmp_path, source, moves())
        lines = path.read_text().splitlines()
        lines[row - 1] = text(lines[row - 1])
        path.write_text("\n".join(lines))
        return path

    path = broken(4, lambda row: row.replace(",50", ",fifty"))
    with pytest.raises(RecordingError) as error:
        read(path)
    assert str(error.value) == f"{path}, row 4: expected `y` to be a finite number, but got 'fifty'"
    with pytest.raises(RecordingError, match=r"row 5: expected `y` to be a finite number, but got nothing"):
        read(broken(5, lambda row: row.removesuffix("50")))
    with pytest.raises(RecordingError, match=r"row 6: expected a value of `state`, but got nothing"):
        read(broken(6, lambda row: row.replace("Move", "")))
    nothing = "row 7: expected `client timestamp` to be a finite number, but got nothing"
    with pytest.raises(RecordingError, match=nothing):
        read(broken(7, lambda row: ""))  # an empty line inside the file
    with pytest.raises(RecordingError, match=r"session_1.*cannot be read as CSV.*line 8"):
        read(broken(8, lambda row: row + ",1,2"))
    with pytest.raises(RecordingError, match=r"missing column state; present: .*client timestamp, button, stat, x, y"):
        read(broken(1, lambda row: row.replace("state", "stat")))


def test_errors_without_a_row(tmp_path: Path, source: str) -> None:
    read = READ[source]
    with pytest.raises(RecordingError, match=f"expected a `path` with source={source}, but got none"):
        read(None)
    with pytest.raises(RecordingError, match="absent: no such file or folder"):
        read(tmp_path / "absent")
    with pytest.raises(RecordingError, match=r"expected files userN/session_.*, but got none; correct `path`"):
        read(tmp_path)
    with pytest.raises(RecordingError, match="the file holds no rows"):
        read(write(tmp_path, source, []))
    with pytest.raises(
        RecordingError, match="expected a session file to lie in a folder named userN, but got 'somebody'"
    ):
        read(write(tmp_path, source, moves(), user="somebody"))
    empty = write(tmp_path, source, moves())
    empty.write_text("")
    with pytest.raises(RecordingError, match="the file is empty"):
        read(empty)
    empty.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordingError, match=r"cannot be read as text: expected text in UTF-8, or in UTF-16"):
        read(empty)


def test_empty_lines_at_the_end_are_no_rows(tmp_path: Path, source: str) -> None:
    path = write(tmp_path, source, moves())
    path.write_text(path.read_text() + "\n\n")
    assert len(READ[source](path).recordings[0].t_ms) == 12


def test_one_collection_is_not_read_as_the_other(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="missing column record timestamp"):
        read_balabit(write(tmp_path, "sapimouse", moves()))


@needs_shared
def test_the_balabit_samples() -> None:
    result = read_balabit(SHARED / "raw" / "balabit")
    assert {r.user for r in result.recordings} == {"balabit/user7"}  # user15 is recorded at 109 ms
    assert result.dropped[SLOW_SESSION] == 3130
    assert result.dropped[EDGE] == 8
    assert len(result.recordings) == 934
    assert (result.repaired_events[DUPLICATE], result.repaired_events[SILENT_START]) == (8, 43)
    assert all(r.t_ms[-1] <= 6000 and len(r.t_ms) >= 8 and (np.diff(r.t_ms) > 0).all() for r in result.recordings)


@needs_shared
def test_the_sapimouse_samples_and_the_same_users_in_the_table() -> None:
    result = read_sapimouse(SHARED / "raw" / "sapimouse")
    assert {(r.user, r.session) for r in result.recordings} == {
        ("sapimouse/user51", "1min"),
        ("sapimouse/user83", "1min"),
    }
    assert len(result.recordings) == 74
