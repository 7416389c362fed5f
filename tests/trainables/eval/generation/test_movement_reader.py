"""Properties of reading movements: the same steps as recordings, exact counts, and one line for every fault."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch

from trainables.data.canonical import encode
from trainables.data.config import CONDITION_NAMES, MEASURED_CONDITIONS, RATE_HZ, CanonicalConfig, DataConfig
from trainables.data.readers.recordings import read_recordings
from trainables.data.splits.loading import load_splits
from trainables.eval.generation.movement_reader import canonicalise, movements_of, read_movements

FORM = CanonicalConfig()
Array = npt.NDArray[np.float64]


def points(steps: int, pixels: float = 90.0) -> Array:
    """Return a movement [steps + 1, 3] at 60 Hz along x."""
    x = np.linspace(0, pixels, steps + 1)
    return np.stack([np.arange(steps + 1) * 1000 / RATE_HZ, x, 0.1 * x], axis=1)


def padded(movements: list[Array]) -> Array:
    longest = max(len(movement) for movement in movements)
    return np.stack([np.pad(m, ((0, longest - len(m)), (0, 0)), constant_values=np.nan) for m in movements])


def table(movements: list[Array]) -> pd.DataFrame:
    columns = {name: [m[:, i].tolist() for m in movements] for i, name in enumerate(("t_ms", "x", "y"))}
    return pd.DataFrame({**columns, "user": [f"u{i}" for i in range(len(movements))], "session": "s"})


def test_an_array_and_a_table_of_the_same_movements_are_the_same(tmp_path: Path) -> None:
    movements = [points(12), points(30, 400.0), points(9)]
    np.save(tmp_path / "a.npy", padded(movements))
    table(movements).to_parquet(tmp_path / "a.parquet")
    first, second = (read_movements(tmp_path / name).movements for name in ("a.npy", "a.parquet"))
    assert torch.equal(first.steps_px, second.steps_px)
    assert first.length.tolist() == second.length.tolist() == [12, 30, 9]
    assert len(set(first.group)) == 3


def test_every_movement_is_kept_or_counted_under_one_reason(tmp_path: Path) -> None:
    movements = [points(20), points(3), points(80), points(20, 2.0), points(20), points(0)]
    np.save(tmp_path / "a.npy", padded(movements))
    found = read_movements(tmp_path / "a.npy")
    result = canonicalise(found.movements, FORM)
    assert result.rows.tolist() == [0, 4]
    assert (found.read, found.dropped) == (6, {"fewer than 2 points": 1})
    assert sorted(result.dropped.values()) == [1, 1, 1]
    assert found.read == len(result) + sum(found.dropped.values()) + sum(result.dropped.values())


def test_a_split_is_compared_in_its_stored_form() -> None:
    split = load_splits(DataConfig())["validation"]
    humans = movements_of(load_splits(DataConfig()), "validation", FORM)
    result = canonicalise(humans.movements, FORM)
    assert (humans.read, result.dropped) == (len(split), {})
    torch.testing.assert_close(result.canonical.deltas, split.deltas, rtol=0, atol=1e-12)
    assert result.canonical.group == split.group


def test_conditions_of_a_table_belong_to_its_movements_of_two_points_or_more(tmp_path: Path) -> None:
    frame = table([points(10), points(0), points(11)])
    for column, name in enumerate(CONDITION_NAMES):
        frame[name] = [column + 0.25, 9.0, column + 0.75]
    frame.to_parquet(tmp_path / "a.parquet")
    requested = read_movements(tmp_path / "a.parquet").requested
    assert requested is not None
    assert requested.tolist() == [[c + share for c in range(len(CONDITION_NAMES))] for share in (0.25, 0.75)]


def test_the_target_width_of_a_table_may_be_unknown(tmp_path: Path) -> None:
    frame = table([points(10), points(0), points(11), points(12)])
    frame = frame.assign(**dict.fromkeys(MEASURED_CONDITIONS, 1.0))
    for widths, expected in ((None, [np.nan] * 3), ([3.0, 2.0, None, 4.0], [3.0, np.nan, 4.0])):
        if widths is not None:
            frame[CONDITION_NAMES[-1]] = widths
        frame.to_parquet(tmp_path / "a.parquet")
        requested = read_movements(tmp_path / "a.parquet").requested
        assert requested is not None
        assert requested.tolist() == [pytest.approx([*[1.0] * 4, width], nan_ok=True) for width in expected]


def test_recorded_sessions_pass_the_data_reader(tmp_path: Path) -> None:
    events = pd.DataFrame(points(30, 300.0), columns=["t_ms", "x", "y"]).assign(user="u", session="s")
    events.to_csv(tmp_path / "a.csv", index=False)
    read, found = read_recordings("table", tmp_path / "a.csv"), read_movements(tmp_path / "a.csv")
    assert (found.read, len(found.movements)) == (read.read, len(read.recordings)) == (1, 1)
    assert encode(found.movements, FORM).duration_s.tolist() == [0.5]


def no_numbers(path: Path) -> None:
    np.save(path, np.array([["a"]]))


def unchanged(values: Array) -> Callable[[Path], None]:
    return lambda path: np.save(path, values)


def late_nan() -> Array:
    values = padded([points(10), points(12)])
    values[1, 4, 1] = np.nan
    return values


def gap() -> Array:
    values = padded([points(10), points(12)])
    values[1, 4] = np.nan
    return values


def truncated(path: Path) -> None:
    np.save(path, padded([points(40), points(40)]))
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.npy", lambda path: None, "no such file"),
        ("a.txt", lambda path: path.write_text("x"), "suffix of the file"),
        ("a.npy", lambda path: path.write_bytes(b""), "cannot be read as .npy"),
        ("a.npy", truncated, "cannot be read as .npy"),
        ("a.npy", no_numbers, r"\[N, P, 3\]"),
        ("a.npy", unchanged(np.zeros((5, 64, 2))), "samples.parquet"),
        ("a.npy", unchanged(np.zeros((0, 64, 3))), "contains no movement"),
        ("a.npy", unchanged(late_nan()), "movement 1: expected finite `t_ms`, `x` and `y`, but got NaN"),
        ("a.npy", unchanged(gap()), "movement 1: expected rows of NaN at the end only, but got points"),
        ("a.npy", unchanged(padded([points(9)[::-1]])), "expected `t_ms` not to decrease, but got"),
        ("a.parquet", lambda path: path.write_bytes(b"PAR1"), "cannot be read as Parquet"),
        ("a.parquet", lambda path: table([points(9)]).drop(columns="y").to_parquet(path), "missing column y"),
        ("a.parquet", lambda path: table([points(0)]).to_parquet(path), "contains no movement"),
        ("a.parquet", lambda path: table([points(9)]).assign(log_distance_px=1.0).to_parquet(path), "all of"),
        (
            "a.parquet",
            lambda path: table([points(9)]).assign(**dict.fromkeys(CONDITION_NAMES, np.nan)).to_parquet(path),
            "`conditions` to be finite",
        ),
        (
            "a.parquet",
            lambda path: (
                table([points(9)])
                .assign(**{**dict.fromkeys(MEASURED_CONDITIONS, 1.0), CONDITION_NAMES[-1]: np.inf})
                .to_parquet(path)
            ),
            "`conditions` to be finite",
        ),
        ("a.csv", lambda path: path.write_text(""), "the file is empty"),
        ("a.csv", lambda path: path.write_text("t_ms,x,y,user,session\n0,nan,0,u,s\n"), "finite number"),
    ],
)
def test_a_fault_of_a_file_is_one_line(name: str, write: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    with pytest.raises(ValueError, match=message) as exc_info:
        read_movements(tmp_path / name)
    assert type(exc_info.value).__module__.startswith("trainables.")
    assert "\n" not in str(exc_info.value)
