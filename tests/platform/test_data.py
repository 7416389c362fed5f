"""The data command: it writes the conditions of a split, never of the holdout split, and refuses wrong input."""

from pathlib import Path

import pandas as pd
import pytest

from platform.data import COMMAND, main
from trainables.core.cli import WRONG_INPUT, run
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits


@pytest.mark.parametrize("name", ["made/c.parquet", "made/c.csv"])
def test_the_conditions_of_a_split_are_written_by_suffix(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    assert run(COMMAND, main, ["conditions", "split=validation", f"out={path}"]) == 0
    table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    split = load_splits(DataConfig())["validation"]
    assert len(table) == len(split)
    counts = f"{len(split)} conditions of {len(set(split.group))} users"
    assert capsys.readouterr().out.strip() == f"{path}: {counts} of the validation split"
    assert [path.name] == [entry.name for entry in path.parent.iterdir()]


def test_the_conditions_of_a_fold_are_those_of_its_users(tmp_path: Path) -> None:
    assert run(COMMAND, main, ["conditions", "data.fold=1/5", f"out={tmp_path / 'c.csv'}"]) == 0
    written = pd.read_csv(tmp_path / "c.csv")
    assert tuple(written["user"]) == load_splits(DataConfig(fold="1/5"))["validation"].group


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["conditions", "split=holdout"], "the holdout split is reserved for the promotion and never exported"),
        (["conditions", "split=all"], "expected `split` in {test, train, validation}, but got split=all"),
        (
            ["split=test"],
            "expected a verb, but got none; use python -m platform.data with one of conditions, store, forget",
        ),
        (["condition"], "expected an override key=value or one of conditions, store, forget, but got condition"),
        (["conditions", "out=c.txt"], "expected `out` to end in .parquet or .csv, but got out=c.txt"),
        (["conditions", "data.fold=1/5", "split=test"], "expected `split` in {train, validation}, but got split=test"),
        (["conditions", "data.source=table"], "expected a `path` with source=table"),
        (["conditions", "data.source=table", "data.path=nowhere.csv"], "no such file"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(COMMAND, main, arguments) == WRONG_INPUT
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not any(tmp_path.iterdir())
