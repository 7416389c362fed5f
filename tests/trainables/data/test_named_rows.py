"""Tables of samples that name rows: one movement per row id, whatever the form, and one line for every fault."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trainables.core.config import ConfigError
from trainables.data.named_rows import has_row_ids, read_named_rows
from trainables.data.readers.recordings import RecordingError


def events(points: int = 12) -> pd.DataFrame:
    """Return two samples of pauses that a stream would be cut at."""
    t_ms = np.arange(points) * 400.0
    parts = [pd.DataFrame({"t_ms": t_ms, "x": k + t_ms, "y": -t_ms, "row_id": f"test-{k}"}) for k in (7, 3)]
    return pd.concat(parts, ignore_index=True)


def movements() -> pd.DataFrame:
    """Return the same samples as lists."""
    return events().groupby("row_id", sort=False).agg(list).reset_index()


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


def test_events_and_lists_of_the_same_samples_are_the_same_and_nothing_is_segmented(tmp_path: Path) -> None:
    files = [write(events(), tmp_path / "a.csv"), write(events(), tmp_path / "b.parquet")]
    files.append(write(movements(), tmp_path / "c.parquet"))
    for path in files:
        assert has_row_ids(path)
        found = read_named_rows(path)
        assert [recording.user for recording in found.recordings] == ["test-7", "test-3"]
        assert [len(recording.t_ms) for recording in found.recordings] == [12, 12]
        assert found.recordings[0].x.tolist() == (7 + np.arange(12) * 400.0).tolist()
        assert found.read == 2


def test_a_column_without_a_value_names_no_rows(tmp_path: Path) -> None:
    empty = movements().assign(row_id=pd.Series([None, None], dtype="string"))
    assert not has_row_ids(write(empty, tmp_path / "a.parquet"))
    assert not has_row_ids(write(movements().drop(columns="row_id"), tmp_path / "b.parquet"))
    assert not has_row_ids(tmp_path / "absent.parquet")


def test_a_sample_of_one_point_is_counted(tmp_path: Path) -> None:
    short = pd.concat([events(), events(1).head(1).assign(row_id="test-9")])
    found = read_named_rows(write(short, tmp_path / "a.csv"))
    assert (found.read, dict(found.dropped)) == (3, {"fewer than 2 points": 1})


def with_value(column: str, row: int, value: float) -> Callable[[], pd.DataFrame]:
    def changed() -> pd.DataFrame:
        frame = events()
        frame.loc[row, column] = value
        return frame

    return changed


def in_list() -> pd.DataFrame:
    frame = movements()
    frame["y"] = [frame["y"][0], [np.nan] * 12]
    return frame


@pytest.mark.parametrize(
    ("name", "made", "kind", "message"),
    [
        ("a.csv", with_value("x", 3, np.nan), RecordingError, "row 5: expected `x` to be a finite number, but got"),
        ("a.parquet", with_value("y", 3, np.inf), RecordingError, "row 4: expected `y` to be a finite number"),
        ("a.parquet", in_list, RecordingError, "row 2: expected `y` to hold finite numbers, but got nan"),
        (
            "a.csv",
            with_value("t_ms", 5, 1.0),
            RecordingError,
            "row 7: expected `t_ms` not to decrease within a movement",
        ),
        ("a.csv", lambda: events().drop(columns="y"), RecordingError, "missing column y"),
        ("a.parquet", lambda: movements().drop(columns="t_ms"), RecordingError, "missing column t_ms"),
        (
            "a.csv",
            lambda: pd.concat([events(), events()]),
            ConfigError,
            "expected each `row_id` once, but got test-7 2",
        ),
        ("a.parquet", lambda: movements().assign(row_id="test-7"), ConfigError, "expected each `row_id` once, but got"),
        ("a.csv", lambda: events().assign(row_id=["", *["a"] * 23]), RecordingError, "row 2: expected a value of"),
        (
            "a.parquet",
            lambda: movements().assign(row_id=pd.Series(["a", None], dtype="string")),
            RecordingError,
            "row 2: expected a value of",
        ),
    ],
)
def test_a_fault_is_one_line(
    name: str, made: Callable[[], pd.DataFrame], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    path = write(made(), tmp_path / name)
    assert has_row_ids(path)
    with pytest.raises(kind) as exc_info:
        read_named_rows(path)
    assert message in str(exc_info.value)
    assert str(path) in str(exc_info.value)
    assert "\n" not in str(exc_info.value)
