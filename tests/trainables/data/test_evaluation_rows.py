"""The table of evaluation conditions holds those of a split, and a row id names one movement of one data set."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from trainables.core.config import ConfigError
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.evaluation_rows import (
    PLACES,
    ROW_ID,
    evaluation_table,
    read_evaluation_table,
    row_ids,
    rows_of,
    write_evaluation_table,
)
from trainables.data.readers.recordings import RecordingError
from trainables.data.splits.loading import load_splits

DATA = DataConfig()
SHA256 = "3f2a91c0" + "0" * 56
FILE = Path("samples.parquet")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return evaluation_table(DATA, "test")


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_a_file_gives_back_the_conditions_and_directions_of_the_split(
    table: pd.DataFrame, name: str, tmp_path: Path
) -> None:
    write_evaluation_table(table, tmp_path / name)
    rows = read_evaluation_table(tmp_path / name)
    split = load_splits(DATA)["test"]
    torch.testing.assert_close(rows.raw, split.condition().double(), rtol=1e-12, atol=1e-12, equal_nan=True)
    torch.testing.assert_close(rows.angle, split.angle.double(), rtol=1e-12, atol=0)
    assert rows_of(rows.row_ids, "test", load_splits(DATA).sha256, len(split), FILE).tolist() == list(range(len(split)))
    assert not list(tmp_path.glob(".*"))


def test_start_and_end_on_the_screen_lie_as_far_apart_and_in_the_direction_that_are_asked_for(
    table: pd.DataFrame,
) -> None:
    start_x, start_y, end_x, end_y = (table[name].to_numpy() for name in PLACES)
    np.testing.assert_allclose(np.hypot(end_x - start_x, end_y - start_y), table["distance_px"], rtol=1e-6)
    off = np.arctan2(end_y - start_y, end_x - start_x) - table["angle"]
    assert np.abs((off + np.pi) % (2 * np.pi) - np.pi).max() < 1e-6
    assert table["user"].tolist() == list(load_splits(DATA)["test"].group)
    assert tuple(table["source"]) == load_splits(DATA)["test"].source


def test_ids_of_the_same_data_in_another_form_are_others() -> None:
    shorter = load_splits(DataConfig(canonical=CanonicalConfig(sequence_length=48)))
    ids = row_ids("test", load_splits(DATA).sha256, 3)
    with pytest.raises(ConfigError, match="name the split and the data keys"):
        rows_of(ids, "test", shorter.sha256, 200, FILE)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["test-3f2a91c0-5"], "expected every `row_id` to be one of test-3f2a91c0-0 to test-3f2a91c0-4, but got test-"),
        (["test-3f2a91c0-0", "validation-3f2a91c0-1"], "but got validation-3f2a91c0-1;"),
        (["test-3f2a91c0-01"], "but got test-3f2a91c0-01;"),
        (["7"], "but got 7;"),
        (
            ["test-3f2a91c0-2", "test-3f2a91c0-1", "test-3f2a91c0-2"],
            "expected each `row_id` once, but got test-3f2a91c",
        ),
    ],
)
def test_an_id_that_is_not_of_the_split_or_is_there_twice_is_refused(ids: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        rows_of(ids, "test", SHA256, 5, FILE)
    assert str(exc_info.value).startswith("samples.parquet: ")
    assert message in str(exc_info.value)
    assert "\n" not in str(exc_info.value)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("duration_s", np.nan, "row 4: expected `duration_s` to be a finite number, but got nothing"),
        ("distance_px", 0.0, "row 4: expected `distance_px` to be above 0, but got 0"),
        (ROW_ID, None, "row 4: expected a value of `row_id`, but got nothing"),
        ("target_width_px", -2.0, "row 4: expected `target_width_px` to be above 0"),
    ],
)
def test_a_fault_of_a_row_names_it(
    table: pd.DataFrame, column: str, value: object, message: str, tmp_path: Path
) -> None:
    values: list[object] = [value if row == 2 else known for row, known in enumerate(table[column].head(5))]
    wrong = table.head(5).assign(**{column: pd.Series(values, dtype=object)})
    write_evaluation_table(wrong, tmp_path / "a.csv")
    with pytest.raises(RecordingError, match=message):
        read_evaluation_table(tmp_path / "a.csv")


def test_a_table_without_a_column_is_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet"):
        write_evaluation_table(table.drop(columns="angle"), tmp_path / name)
        with pytest.raises(RecordingError, match="missing column angle"):
            read_evaluation_table(tmp_path / name)
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordingError, match="cannot be read as Parquet"):
        read_evaluation_table(tmp_path / "b.parquet")
