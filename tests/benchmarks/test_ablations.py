"""Ablations: cells that suites share, known tables, sources by name, and a suite from the command to its tables."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ablations
from benchmarks.ablations import METRICS, SUITES, TEXTURE, Cell, cells_of, chosen_variants, main, sources_of, tables
from tests.trainables.data.source_tables import write_sources
from trainables.core.config import ConfigError
from trainables.training import metric_names as names

SOURCE = "first"
USERS = 5
TINY = ["model.base_channels=16", "batch_size=8", "sampling.steps=4", "evaluation.movements=40", "evaluation.folds=2"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recordings") / "first.parquet"
    write_sources(path, SOURCE, users=60, movements=6)
    return path


def known(cell: Cell, excess: float) -> dict[str, Any]:
    """Results of a cell whose metrics are the same for all users but for a little."""
    value = excess + 0.01 * cell.seed
    found = {"value": value, "without": [value + 0.001 * (user - (USERS - 1) / 2) for user in range(USERS)]}
    return {
        "seed": cell.seed,
        "users": [str(user) for user in range(USERS)],
        "movements": 60,
        "metrics": dict.fromkeys(METRICS.values(), found),
        "floors": {names.probe_auc("features"): 0.55},
        "texture": dict.fromkeys(TEXTURE, 0.2),
        "recorded": dict.fromkeys(TEXTURE, 0.3),
        "training": {"training s": 9.0},
        "seconds": 10.0,
    }


def test_a_training_that_two_suites_share_is_one_cell() -> None:
    averaging = list(cells_of(SUITES["averaging"], {"cursory": None}, 2, {}))
    grid = list(cells_of(SUITES["pixel-grid"], {"cursory": None}, 2, {}))
    assert [cell.name for cell in averaging if cell.variant == "decay 0.999"] == [
        cell.name for cell in grid if cell.variant == "default"
    ]
    assert len({cell.name for cell in averaging + grid}) == len(averaging) + len(grid) - 2


def test_other_recordings_under_the_same_path_are_another_cell(table: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(table.read_bytes())
    (first,) = cells_of({"base": {}}, {SOURCE: table}, 1, {})
    (moved,) = cells_of({"base": {}}, {SOURCE: copy}, 1, {})
    write_sources(copy, SOURCE, users=61, movements=6)
    (other,) = cells_of({"base": {}}, {SOURCE: copy}, 1, {})
    assert first.name == moved.name != other.name


def test_known_differences_are_paired_by_user_and_seed() -> None:
    variants = {"base": {}, "lower": {"optim.lr": 1e-3}}
    cells = list(cells_of(variants, {"cursory": None}, 3, {}))
    results = {cell.name: known(cell, 0.3 if cell.variant == "base" else 0.2) for cell in cells}
    text = tables(list(variants), cells, results)
    (change,) = (line for line in text.splitlines() if line.startswith("| lower less base"))
    assert change.split(" | ")[1] == "-0.100 [-0.100, -0.100]"
    (level,) = (line for line in text.splitlines() if line.startswith("| base"))
    assert level.split(" | ")[1].startswith("0.310 [")
    assert "60 movements of 5 users; floors: features 0.550; recorded: steps along an axis 0.300" in text


def test_a_failed_training_leaves_its_variant_without_a_level() -> None:
    variants = {"base": {}, "broken": {"optim.lr": 1.0}}
    cells = list(cells_of(variants, {"cursory": None}, 2, {}))
    results = {cell.name: known(cell, 0.3) for cell in cells}
    results[cells[-1].name] = {"failure": "the loss is nan", "seed": 1, "seconds": 1.0}
    lines = tables(list(variants), cells, results).splitlines()
    assert next(line for line in lines if line.startswith("| broken |")).split(" | ")[1].strip() == ""
    failed = {cell.name: results[cells[-1].name] for cell in cells}
    assert "every training failed: the loss is nan" in tables(list(variants), cells, failed)


def test_unknown_variants_and_sources_are_refused(table: Path, tmp_path: Path) -> None:
    assert list(chosen_variants("levers", ["quarter turns", "base"])) == ["quarter turns", "base"]
    with pytest.raises(ConfigError, match=r"variants of latent: .* but got levers"):
        chosen_variants("latent", ["levers"])
    with pytest.raises(ConfigError, match="recordings of every source, but got none of second"):
        sources_of(["cursory", "second"], [table], tmp_path)
    assert sources_of(["cursory"], [], tmp_path) == {"cursory": None}


def test_a_suite_from_the_command_to_its_tables(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = ["levers", "--variants", "base", "ends", "--steps", "3", "--seeds", "1", "--processes", "1"]
    command = [*suite, "--recordings", str(table), "--sources", SOURCE, "--out", str(tmp_path), "--set", *TINY]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.out == (tmp_path / "levers.md").read_text()
    assert "| ends less base |" in captured.out
    assert "2/2  first ends, seed 0: AUC excess" in captured.err
    found = json.loads((tmp_path / "levers.json").read_text())["cells"]
    assert [each["variant"] for each in found] == ["base", "ends"]
    assert all(len(each["metrics"][names.VAL_AUC_EXCESS]["without"]) == len(each["users"]) for each in found)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    monkeypatch.setattr(ablations, "run_cell", pytest.fail)  # nothing is trained again
    assert main(command) == 0
    assert capsys.readouterr().out == captured.out


def test_a_wrong_key_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["latent", "--out", str(tmp_path), "--set", "model.width=3"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
