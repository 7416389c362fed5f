"""Kinds of faulty files that users reported, each made small here; and the shared files of these kinds, if at hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.shared_data import CASES
from tests.trainables.data.readers.examples import POINTS, STEP_MS, clock, events, path
from trainables.data.readers.cleaning import CLOCK_BACK, EDGE, SAME_TIME, SILENT_START, TOUCH
from trainables.data.readers.recordings import RecordingError, RecordingSet, read_recordings

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the faulty files in ../shared/cases/data are not here")
CLEAN_MS = STEP_MS * (POINTS - 1)


def read(content: str | bytes, folder: Path, name: str = "mine.csv", time_unit: str = "ms") -> RecordingSet:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_recordings("table", file, time_unit=time_unit)


def clean(text: str) -> str:
    """Return a clean table as it is; the other texts of `WRITINGS` hold the same."""
    return text


WRITINGS: dict[str, Callable[[str], str | bytes]] = {
    "clean": clean,
    "byte order mark and CRLF": lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    "UTF-16, little end first": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "UTF-16, big end first": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "semicolons": lambda text: text.replace(",", ";"),
    "tabs": lambda text: text.replace(",", "\t"),
    "spaces": lambda text: text.replace(",", ", "),
    "spaces on both sides of the header": lambda text: " t_ms , x , y , user , session \n" + text.split("\n", 1)[1],
    "upper case": lambda text: text.split("\n", 1)[0].upper() + "\n" + text.split("\n", 1)[1],
    "empty lines at the end": lambda text: text + "\n\n",
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_a_table_is_read_however_it_is_written(writing: str, tmp_path: Path) -> None:
    expected = read(events().to_csv(index=False), tmp_path)
    result = read(WRITINGS[writing](events().to_csv(index=False)), tmp_path)
    assert (result.read, len(result.recordings), result.dropped) == (3, 3, {})
    assert result.repaired_events == expected.repaired_events
    for found, one in zip(result.recordings, expected.recordings, strict=True):
        assert (found.user, found.session) == ("u1", "s1")
        assert found.t_ms.tolist() == one.t_ms.tolist()
        assert found.x.tolist() == one.x.tolist()


@pytest.mark.parametrize(
    ("unit", "factor", "name", "step"),
    [("s", 1e-3, "seconds", "0.016"), ("us", 1e3, "microseconds", "1.6e+04"), ("ns", 1e6, "nanoseconds", "1.6e+07")],
)
def test_another_unit_of_time_is_one_line_and_read_when_it_is_set(
    unit: str, factor: float, name: str, step: str, tmp_path: Path
) -> None:
    expected = read(events().to_csv(index=False), tmp_path)
    frame = events()
    frame["t_ms"] *= factor
    with pytest.raises(RecordingError) as error:
        read(frame.to_csv(index=False), tmp_path)
    assert str(error.value) == (
        f"{tmp_path / 'mine.csv'}: expected times in milliseconds, but got a median step of {step}, "
        f"which looks like {name}; set data.time_unit={unit}"
    )
    result = read(frame.to_csv(index=False), tmp_path, time_unit=unit)
    assert len(result.recordings) == 3
    for found, one in zip(result.recordings, expected.recordings, strict=True):
        np.testing.assert_allclose(found.t_ms, one.t_ms, atol=1e-6)
    with pytest.raises(
        RecordingError, match=f"expected times in {name}, but .* looks like milliseconds; set .*unit=ms"
    ):
        read(events().to_csv(index=False), tmp_path, time_unit=unit)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas_are_one_line_that_names_them(separator: str, tmp_path: Path) -> None:
    frame = events().assign(t_ms=lambda table: table["t_ms"].astype(int))
    frame["x"] += 0.25
    with pytest.raises(
        RecordingError, match=r"row 2: expected `x` with a decimal point, but got '100,25', a decimal co"
    ):
        read(frame.to_csv(index=False, sep=separator, decimal=","), tmp_path)


def test_decimal_commas_between_commas_are_one_line(tmp_path: Path) -> None:
    text = events().to_csv(index=False).replace("100.0", "100,25")
    with pytest.raises(
        RecordingError, match=r"cannot be read as CSV: expected .* write decimal points|wide as the header"
    ):
        read(text, tmp_path)


def test_equal_time_stamps_are_kept_and_counted(tmp_path: Path) -> None:
    frame = events().loc[np.repeat(np.arange(3 * POINTS), 2)]
    frame.loc[:, "x"] -= np.tile([1.0, 0.0], 3 * POINTS)
    result = read(frame.to_csv(index=False), tmp_path)
    assert (len(result.recordings), result.repaired_events[SAME_TIME]) == (3, 3 * POINTS)
    assert result.recordings[0].x[-1] == path()[0][-1]


def test_movements_against_the_edge_are_dropped_and_counted(tmp_path: Path) -> None:
    frame = events()
    frame["x"] = frame["x"].clip(upper=350.0)
    frame["y"] += np.tile(np.arange(POINTS), 3)  # the hand moves on
    result = read(frame.to_csv(index=False), tmp_path)
    assert (result.read, result.dropped, result.recordings) == (3, {EDGE: 3}, ())


def test_the_movement_during_which_the_clock_runs_back_is_dropped_and_counted(tmp_path: Path) -> None:
    frame = events()
    frame.loc[POINTS + 20 :, "t_ms"] -= 3.6e6
    result = read(frame.to_csv(index=False), tmp_path)
    assert (result.read, len(result.recordings), result.dropped) == (3, 2, {CLOCK_BACK: 1})


def test_reaction_time_in_which_nothing_is_sent_is_cut_and_counted(tmp_path: Path) -> None:
    rest = read(events().to_csv(index=False), tmp_path).recordings[0].t_ms[-1]
    frame = events()
    first_move = int(np.flatnonzero(np.diff(frame["x"]) + np.diff(frame["y"]))[0])
    late = frame.assign(t_ms=frame["t_ms"] + np.where(np.arange(len(frame)) % POINTS > first_move, 200.0, 0.0))
    result = read(late.to_csv(index=False), tmp_path)
    assert [r.t_ms[-1] for r in result.recordings] == [rest] * 3
    assert result.repaired_events[SILENT_START] == 3


def taps(users: int = 1) -> pd.DataFrame:
    """Drags of a finger, which comes down somewhere else after each."""
    x, y = path(24)
    parts = [
        pd.DataFrame({"t_ms": 2000.0 * number + clock(24), "x": x + goal, "y": y})
        for number, goal in enumerate((0, 700, 250, 900, 480, 130))
    ]
    return pd.concat(parts).assign(user="u1", session="s1")


def test_touch_is_separated_by_its_jumps_over_pauses(tmp_path: Path) -> None:
    result = read(taps().to_csv(index=False), tmp_path)
    assert (result.read, result.dropped, result.recordings) == (6, {TOUCH: 6}, ())


def test_touch_is_separated_by_the_type_of_pointer(tmp_path: Path) -> None:
    kinds = np.repeat(["mouse", "Touch", "pen", "mouse", "mouse", "mouse"], 24)
    result = read(taps().assign(pointer_type=kinds).to_csv(index=False), tmp_path)
    assert (result.read, len(result.recordings), result.dropped) == (6, 4, {TOUCH: 2})
    result = read(taps().assign(pointer_type="mouse").to_csv(index=False), tmp_path)
    assert len(result.recordings) == 6


def test_a_column_twice_is_one_line(tmp_path: Path) -> None:
    text = events().assign(other=1).to_csv(index=False).replace("other", "X")
    with pytest.raises(RecordingError, match="expected each column once, but got x twice; remove or rename one"):
        read(text, tmp_path)


def test_another_encoding_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"expected text in UTF-8, or in UTF-16 .*, but got .*; save it"):
        read(events(user="Jörg").to_csv(index=False).encode("latin-1"), tmp_path)


SHARED_CASES = {
    "bom_crlf.csv": (6, {}, {}),
    "semicolon.csv": (6, {}, {}),
    "utf16.csv": (6, {}, {}),
    "spaces.csv": (6, {}, {}),
    "upper.csv": (6, {}, {}),
    "duplicate_stamps.csv": (6, {}, {SAME_TIME: 240}),
    "edge.csv": (0, {EDGE: 6}, {}),
    "clock_back.csv": (5, {CLOCK_BACK: 1}, {}),
    "one_clock_runs_back.parquet": (4, {CLOCK_BACK: 1}, {}),
    "reaction_200.csv": (3, {}, {SILENT_START: 3}),
    "touch.csv": (0, {TOUCH: 9}, {}),
}
"""File -> movements that are kept, dropped by reason, raw events by reason."""


@needs_cases
@pytest.mark.parametrize("name", SHARED_CASES)
def test_the_shared_files(name: str) -> None:
    result = read_recordings("table", CASES / name)
    assert (len(result.recordings), result.dropped, result.repaired_events) == SHARED_CASES[name]
    assert {float(r.t_ms[-1]) for r in result.recordings} <= {624.0}


@needs_cases
@pytest.mark.parametrize(("name", "unit"), [("seconds.csv", "s"), ("micro.csv", "us")])
def test_the_shared_files_of_other_units(name: str, unit: str) -> None:
    with pytest.raises(RecordingError, match=f"; set data.time_unit={unit}"):
        read_recordings("table", CASES / name)
    assert len(read_recordings("table", CASES / name, time_unit=unit).recordings) == 6


@needs_cases
def test_the_shared_file_with_decimal_commas() -> None:
    with pytest.raises(RecordingError, match="a decimal comma; write points"):
        read_recordings("table", CASES / "decimal_comma.csv")


@needs_cases
def test_every_shared_file_is_tested() -> None:
    others = {"seconds.csv", "micro.csv", "decimal_comma.csv"}
    assert {file.name for file in CASES.iterdir()} == set(SHARED_CASES) | others


def as_lists(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with one row for each movement of a table of events."""
    movement = np.arange(len(frame)) // POINTS
    return frame.groupby(movement).agg(
        {**dict.fromkeys(("t_ms", "x", "y"), list), **dict.fromkeys(frame.columns[3:], "first")}
    )


def test_movements_in_lists_pass_the_same_rules(tmp_path: Path) -> None:
    frame = events(6).assign(pointer_type="mouse")
    number = np.arange(len(frame)) // POINTS
    inside = np.arange(len(frame)) % POINTS > POINTS // 2
    frame["x"] = frame["x"].where(number != 0, frame["x"].clip(upper=350.0) + 200.0)  # 550 is the edge of the session
    frame["x"] += np.where(number == 5, 50.0, 0.0)  # and is reached a second time
    frame["y"] += np.where(number == 0, np.arange(len(frame)) % POINTS, 0)
    frame["t_ms"] -= np.where((number == 1) & inside, 5000.0, 0.0)
    frame.loc[number == 2, "pointer_type"] = "touch"
    frame["t_ms"] += np.where((number == 3) & (np.arange(len(frame)) % POINTS > 0), 200.0, 0.0)
    frame.loc[(number == 4) & inside, "t_ms"] = frame.loc[(number == 4) & inside, "t_ms"].shift(1).bfill()
    file = tmp_path / "mine.parquet"
    as_lists(frame).to_parquet(file, index=False)
    result = read_recordings("table", file)
    assert (result.read, result.dropped) == (6, {EDGE: 1, CLOCK_BACK: 1, TOUCH: 1})
    assert result.repaired_events == {SILENT_START: 1, SAME_TIME: 1}
    assert [len(r.t_ms) for r in result.recordings] == [POINTS, POINTS - 1, POINTS]
    assert result.recordings[0].t_ms[-1] == CLEAN_MS
