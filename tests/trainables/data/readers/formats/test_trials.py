"""Readers of trials: MouseTracker, mousetrap and jsPsych, with the defects of their files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trainables.data.readers.examples import (
    POINTS,
    STEP_MS,
    Floats,
    clock,
    mousetracker_text,
    path,
    write_jspsych,
    write_mousetrap,
)
from trainables.data.readers.cleaning import CLOCK_BACK, EDGE, SAME_TIME
from trainables.data.readers.formats.trials import NO_TRACK, UNEQUAL, Trial, movements_of_trials
from trainables.data.readers.recordings import RecordingError, RecordingSet, read_recordings
from trainables.data.readers.segment import PAUSE_MS
from trainables.data.readers.stream import NOT_A_MOVE, STILL

Track = tuple[Floats, Floats, Floats]


def track() -> Track:
    return (clock(), *path())


def mousetracker(folder: Path, tracks: list[Track], subject: str = "7") -> RecordingSet:
    file = folder / "7_1.mt"
    file.write_text(mousetracker_text(tracks, subject), encoding="utf-8")
    return read_recordings("mousetracker", file)


def mousetrap(folder: Path, rows: list[dict[str, Any]]) -> RecordingSet:
    file = folder / "exp.csv"
    pd.DataFrame([{name: cell(value) for name, value in row.items()} for row in rows]).to_csv(file, index=False)
    return read_recordings("mousetrap", file)


def cell(value: Any) -> Any:
    return json.dumps([float(one) for one in value]) if isinstance(value, np.ndarray) else value


def jspsych(folder: Path, rows: list[dict[str, Any]]) -> RecordingSet:
    file = folder / "exp.json"
    file.write_text(json.dumps(rows), encoding="utf-8")
    return read_recordings("jspsych", file)


def points(one: Track, **more: Any) -> list[dict[str, Any]]:
    return [{"t": t, "x": x, "y": y, **more} for t, x, y in zip(*(axis.tolist() for axis in one), strict=True)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    origins=st.lists(st.floats(-1e6, 1e12), min_size=1, max_size=6),
    back=st.sets(st.integers(0, 5)),
)
def test_trials_do_not_depend_on_the_origins_of_their_clocks(origins: list[float], back: set[int]) -> None:
    t_ms, x, y = track()
    trials = []
    for number, origin in enumerate(np.rint(origins).tolist()):
        times = t_ms + origin
        if number in back:
            times = np.where(np.arange(POINTS) > 20, times - 5000.0, times)
        trials.append(Trial("u", "s", times, x, y))
    result = movements_of_trials("lab", trials)
    dropped = len(back & set(range(len(trials))))
    assert (result.read, result.dropped) == (len(trials), {CLOCK_BACK: dropped} if dropped else {})
    for recording in result.recordings:
        np.testing.assert_allclose(np.diff(recording.t_ms), STEP_MS)


def test_the_edge_is_that_of_the_session_and_not_of_the_trial() -> None:
    t_ms, x, y = track()
    y = y + 3.0 * np.arange(POINTS)
    stopped = Trial("u", "1", t_ms, np.minimum(x, 350.0), y)
    assert movements_of_trials("lab", [stopped]).dropped == {}  # one movement shows no edge
    assert movements_of_trials("lab", [stopped] * 2).dropped == {EDGE: 2}
    assert movements_of_trials("lab", [stopped, stopped, Trial("u", "1", t_ms, x, y)]).dropped == {}
    assert movements_of_trials("lab", [stopped, stopped, Trial("u", "2", t_ms, x, y)]).dropped == {EDGE: 2}


def test_a_trial_is_not_cut_at_a_leap_of_a_fast_hand() -> None:
    t_ms, x, y = track()
    result = movements_of_trials("lab", [Trial("u", "1", t_ms, 20 * np.repeat(x[::2], 2), y)])
    assert (result.read, len(result.recordings)) == (1, 1)


def test_a_rest_inside_a_trial_that_is_sampled_at_rest_is_a_part_of_the_movement(tmp_path: Path) -> None:
    _, x, y = track()
    rest = np.repeat(np.arange(POINTS), np.where(np.arange(POINTS) == 20, 60, 1))
    result = mousetracker(tmp_path, [(clock(len(rest)), x[rest], y[rest])])
    assert result.recordings[0].t_ms[-1] > 60 * STEP_MS > PAUSE_MS


def test_users_of_mousetracker_are_subjects_and_the_source_is_the_file(tmp_path: Path) -> None:
    result = mousetracker(tmp_path, [track()], subject="12")
    assert [(r.source, r.user, r.session) for r in result.recordings] == [("7_1", "12", "7_1")]


def test_trials_of_mousetracker_without_a_track_or_of_unequal_numbers_are_counted(tmp_path: Path) -> None:
    none, (t_ms, x, y) = np.empty(0), track()
    result = mousetracker(tmp_path, [(none, none, none), track(), (t_ms[:-1], x, y)])
    assert (result.read, len(result.recordings), result.dropped) == (3, 1, {NO_TRACK: 1, UNEQUAL: 1})


def test_rests_at_both_ends_are_trimmed(tmp_path: Path) -> None:
    _, x, y = (np.concatenate([np.full(30, axis[0]), axis, np.full(5, axis[-1])]) for axis in track())
    result = mousetracker(tmp_path, [(clock(len(x)), x, y)])
    assert len(result.recordings[0].t_ms) <= POINTS
    assert result.repaired_events[STILL] >= 35


@pytest.mark.parametrize(
    ("old", "new", "law"),
    [
        ("RAW TRACKS (time)", "TIMES", r"expected a section 'RAW TRACKS \(time\)', but got none; export raw data"),
        ("subjID", "subject", r"row 4: expected a column subjid in .*, but got none; export the file again"),
        (",100,", ",wide,", r"expected numbers in a track, but got could not convert .*'wide'; correct the row"),
        (",100,", ",nan,", r"expected finite numbers in a track, but got NaN or infinity; remove the row"),
        (
            "\r\n7,blank.jpg,2,",
            "\r\n7,blank.jpg,9,",
            r"expected the same trials in the three sections .* got trial",
        ),
    ],
)
def test_damaged_files_of_mousetracker_are_one_line(tmp_path: Path, old: str, new: str, law: str) -> None:
    file = tmp_path / "7.mt"
    text = mousetracker_text([track(), track()])
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RecordingError, match=law) as error:
        read_recordings("mousetracker", file)
    assert str(error.value).startswith(str(file))


def test_a_trial_of_two_loggers_is_one_movement_and_the_equal_stamp_at_the_seam_is_counted(tmp_path: Path) -> None:
    t_ms, x, y = track()
    row: dict[str, Any] = {"subject": 3}
    for end, part in (("_get_response", slice(19, None)), ("_initial_phase", slice(None, 20))):  # in any order
        row |= {f"timestamps{end}": t_ms[part], f"xpos{end}": x[part], f"ypos{end}": y[part]}
    result = mousetrap(tmp_path, [row])
    assert (result.read, result.repaired_events[SAME_TIME]) == (1, 1)
    assert result.recordings[0].x.tolist() == [value for value in x.tolist() if value in result.recordings[0].x]
    np.testing.assert_allclose(np.diff(result.recordings[0].t_ms), STEP_MS)


def test_positions_around_the_centre_of_the_screen_stay_negative(tmp_path: Path) -> None:
    result = read_recordings("mousetrap", write_mousetrap(tmp_path))
    assert result.recordings[0].x.min() == 100 - 640
    assert result.recordings[0].user == "4"


def test_lab_js_writes_columns_without_an_ending_and_rows_without_a_track(tmp_path: Path) -> None:
    t_ms, x, y = track()
    rows: list[dict[str, Any]] = [
        {"sender": "welcome"},
        {"sender": "trial", "timestamps": t_ms, "xpos": x, "ypos": y},
        {"sender": "end"},
    ]
    result = mousetrap(tmp_path, rows)
    assert (result.read, [(r.source, r.user, r.session) for r in result.recordings]) == (1, [("exp", "exp", "exp")])


def test_older_scripts_of_opensesame_name_the_columns_differently(tmp_path: Path) -> None:
    t_ms, x, y = track()
    result = mousetrap(tmp_path, [{"subject_nr": 101, "tTrajectory": t_ms, "xTrajectory": x, "yTrajectory": y}])
    assert [(r.user, r.x[0]) for r in result.recordings] == [("101", 100.0)]


def test_a_participant_that_one_row_names_is_that_of_all(tmp_path: Path) -> None:
    t_ms, x, y = track()
    trial: dict[str, Any] = {"timestamps": t_ms, "xpos": x, "ypos": y}
    assert mousetrap(tmp_path, [{"participant": "ann"}, trial]).recordings[0].user == "ann"
    with pytest.raises(RecordingError, match="row 4: expected a value of `participant`, but got nothing; fill"):
        mousetrap(tmp_path, [{"participant": "ann"}, {"participant": "bob"}, trial])


@pytest.mark.parametrize(
    ("row", "law"),
    [
        ({"timestamps": "[1, 2]", "xpos": "[1, 2]"}, r"expected columns timestamps\*, xpos\* and ypos\* of one ending"),
        (
            {"timestamps": "[1, b]", "xpos": "[1, 2]", "ypos": "[1, 2]"},
            "row 2: expected `timestamps` to be a list of",
        ),
        (
            {"timestamps": "[1, 2]", "xpos": "[1, nan]", "ypos": "[1, 2]"},
            "row 2: expected `xpos` to be a list of",
        ),
    ],
)
def test_damaged_exports_of_mousetrap_are_one_line(tmp_path: Path, row: dict[str, str], law: str) -> None:
    with pytest.raises(RecordingError, match=law):
        mousetrap(tmp_path, [row])


def test_jspsych_as_json_and_as_csv_are_the_same(tmp_path: Path) -> None:
    file = write_jspsych(tmp_path)
    rows = json.loads(file.read_text())
    text = [{name: json.dumps(v) if isinstance(v, list) else v for name, v in row.items()} for row in rows]
    pd.DataFrame(text).to_csv(tmp_path / "data.csv", index=False)
    results = [read_recordings("jspsych", tmp_path / name) for name in ("data.json", "data.csv")]
    for one, other in zip(*(result.recordings for result in results), strict=True):
        assert (one.user, one.t_ms.tolist(), one.x.tolist()) == (other.user, other.t_ms.tolist(), other.x.tolist())
    assert results[0].recordings[0].user == "ann"


def test_lists_of_participants_are_joined(tmp_path: Path) -> None:
    rows = [[{"subject": name, "mouse_tracking_data": points(track())}] for name in ("ann", "bob")]
    file = tmp_path / "exp.json"
    file.write_text(json.dumps(rows))
    assert [r.user for r in read_recordings("jspsych", file).recordings] == ["ann", "bob"]


def test_a_press_ends_a_movement_and_is_counted(tmp_path: Path) -> None:
    first, press = points(track(), event="mousemove"), {"t": 630.0, "x": 500, "y": 304, "event": "mousedown"}
    second = [{**point, "t": point["t"] + 640.0} for point in first]
    result = jspsych(tmp_path, [{"mouse_tracking_data": [*first, press, *second]}])
    assert (result.read, len(result.recordings), result.repaired_events[NOT_A_MOVE]) == (2, 2, 1)


def test_a_pause_cuts_a_trial_of_jspsych(tmp_path: Path) -> None:
    late = [{**point, "t": point["t"] + 2000.0} for point in points(track())]
    assert jspsych(tmp_path, [{"mouse_tracking_data": [*points(track()), *late]}]).read == 2


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("{", r"cannot be read as JSON: line 1, column 2: .*; export the file again"),
        ('{"a": 1}', r"expected a list of JSON objects, but got dict .*; export such a list"),
        ('[{"a": 1}]', "missing column mouse_tracking_data; present: a"),
        ('[{"mouse_tracking_data": [{"x": 1, "y": 2}]}]', "row 1: expected numbers x, y and t in each point of"),
        (
            '[{"mouse_tracking_data": 7}]',
            "row 1: expected `mouse_tracking_data` to be a list of points with",
        ),
        ('[{"mouse_tracking_data": "[1"}]', "row 1: expected `mouse_tracking_data` to be a list, but got"),
    ],
)
def test_damaged_exports_of_jspsych_are_one_line(tmp_path: Path, text: str, law: str) -> None:
    file = tmp_path / "exp.json"
    file.write_text(text)
    with pytest.raises(RecordingError, match=law):
        read_recordings("jspsych", file)
