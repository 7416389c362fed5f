"""Learning curves with scarce data: nested training sets, what a cell sees, resumed grids, and known tables."""

import itertools
import json
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks import scarce_data
from benchmarks.scarce_data import kind_of, main, measure, settings_of
from benchmarks.support.cells import finished, open_folder, seconds_left, write_cell
from benchmarks.support.scarce_cells import run_cell, splits_of, train
from benchmarks.support.scarce_grid import (
    COTRAINING,
    GENERATORS,
    MINIMUM_JERK,
    NOTHING,
    SIZES,
    Cell,
    Grid,
    Size,
    cotraining_config,
    data_of,
    diffusion_config,
    physical_config,
    subset_rows,
)
from benchmarks.support.scarce_tables import METRICS, picture, rows_of, tables
from tests.trainables.data.source_tables import write_sources
from trainables.core.config import ConfigError
from trainables.data.splits.loading import load_splits
from trainables.eval.generation.config import EvaluationConfig
from trainables.training import metric_names as names

SOURCE = "first"
SMALL = Size(12, 2)
EVALUATION = EvaluationConfig(movements=40, probes=("features",), folds=2)
GRID = Grid(
    (SOURCE,),
    sizes=(SMALL, Size(0, 0)),
    alphas=(1.0,),
    seeds=2,
    steps=60,
    batch_size=8,
    base_channels=16,
    sampling_steps=4,
    fitted=40,
    eval_seeds=(7,),
    evaluation=EVALUATION,
    cycles=EVALUATION,
)
USERS = 6


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recordings") / "first.parquet"
    write_sources(path, SOURCE, users=60, movements=6)
    return path


def known(cell: Cell, excess: float, *, seed_effect: float = 0.0) -> dict[str, object]:
    """Results of a cell whose metrics are the same for all users but for a little."""
    value = excess + seed_effect * cell.seed
    found = {"value": value, "without": [value + 0.001 * (user - (USERS - 1) / 2) for user in range(USERS)]}
    return {
        "cell": cell.name,
        "training": {"movements": cell.size.movements or 77, "users": cell.size.users or 9, "generated": 0},
        "users": [str(user) for user in range(USERS)],
        "movements": 60,
        "metrics": dict.fromkeys(METRICS.values(), found),
        "seconds": 10.0,
    }


def test_training_sets_are_nested_and_their_users_count_alike() -> None:
    owners = [str(user) for user in range(20) for _ in range(40)]
    rows = {size.name: subset_rows(owners, SIZES, size, 3) for size in SIZES}
    sets = [set(rows[size.name].tolist()) for size in SIZES]
    assert [len(one) for one in sets] == [25, 100, 400, 800]
    assert all(less < more for less, more in itertools.pairwise(sets))
    for size in SIZES[:3]:
        counts = Counter(owners[row] for row in rows[size.name].tolist())
        assert len(counts) == size.users
        assert max(counts.values()) - min(counts.values()) <= 1
    assert not torch.equal(rows["25"], subset_rows(owners, SIZES, SIZES[0], 4))
    assert torch.equal(rows["25"], subset_rows(owners, SIZES, SIZES[0], 3))


def test_users_with_few_movements_give_all_that_they_have() -> None:
    owners = ["a"] * 2 + ["b"] * 30
    rows = subset_rows(owners, (Size(10, 2),), Size(10, 2), 0)
    assert Counter(owners[row] for row in rows.tolist()) == {"a": 2, "b": 8}
    with pytest.raises(ConfigError, match=r"^expected `training users >= 3`, but got 2"):
        subset_rows(owners, (Size(10, 3),), Size(10, 3), 0)
    with pytest.raises(ConfigError, match=r"^expected `movements of 2 training users >= 40`, but got 32"):
        subset_rows(owners, (Size(40, 2),), Size(40, 2), 0)


def test_no_movement_of_a_test_or_holdout_user_is_among_the_data_of_a_cell(table: Path) -> None:
    data = data_of(table)
    whole = load_splits(data)
    for size in GRID.sizes:
        found = splits_of(Cell(SOURCE, size, 0), GRID, data)
        assert set(found.splits) == {"train", "validation"}
        assert set(found["train"].group) <= set(whole["train"].group)
        assert set(found["validation"].group) == set(whole["validation"].group)
        assert not {*found["train"].group, *found["validation"].group} & {
            *whole["test"].group,
            *whole["holdout"].group,
        }
        assert len(found["train"]) == (size.movements or len(whole["train"]))


def test_a_cell_is_standardised_by_its_own_movements_and_named_by_them(table: Path) -> None:
    data = data_of(table)
    small, every = (splits_of(Cell(SOURCE, size, 0), GRID, data) for size in GRID.sizes)
    other = splits_of(Cell(SOURCE, SMALL, 1), GRID, data)
    assert len({small.sha256, every.sha256, other.sha256}) == 3
    own = small["train"].measured_condition().mean(dim=0)
    assert torch.allclose(small.statistics.condition_mean[: len(own)].double(), own.double(), atol=1e-5)


def test_every_diffusion_has_the_same_steps_and_configuration(table: Path) -> None:
    data, cell = data_of(table), Cell(SOURCE, SMALL, 1, COTRAINING, 1.0)
    diffusion = diffusion_config(cell.baseline, GRID, data)
    assert cotraining_config(cell, GRID, data).of_diffusion() == diffusion
    assert diffusion.epochs * diffusion.steps_per_epoch == GRID.steps
    assert physical_config(cell, GRID, data).fit == cotraining_config(cell, GRID, data).fit


def test_cotraining_without_exchange_is_the_cell_without_generated_movements(table: Path) -> None:
    grid, data = replace(GRID, steps=6), data_of(table)
    cell = Cell(SOURCE, SMALL, 0, COTRAINING, 0.0)
    splits = splits_of(cell, grid, data)
    alone, together = (train(one, grid, data, splits) for one in (cell.baseline, cell))
    like = splits["validation"].take(torch.arange(3))
    assert torch.equal(alone.sample(like, 1).deltas, together.sample(like, 1).deltas)


@pytest.mark.parametrize("generator", [NOTHING, *GENERATORS])
def test_a_cell_has_every_metric_with_and_without_each_test_user(table: Path, tmp_path: Path, generator: str) -> None:
    alpha = 0.0 if generator == NOTHING else 1.0
    cell = Cell(SOURCE, SMALL, 0, generator, alpha)
    found = write_cell(partial(run_cell, cell, GRID, table), tmp_path / "cell.json")
    assert "failure" not in found
    assert json.loads((tmp_path / "cell.json").read_text()) == json.loads(json.dumps(found))
    assert (found["training"]["movements"], found["training"]["users"]) == (SMALL.movements, SMALL.users)
    assert found["training"]["steps"] == GRID.steps
    generated = found["training"]["generated"]
    assert generated == ([SMALL.movements] * 3 if generator == COTRAINING else alpha * SMALL.movements)
    test_users = sorted(set(load_splits(data_of(table))["test"].group))
    assert set(found["users"]) <= set(test_users)
    for metric in METRICS.values():
        assert len(found["metrics"][metric]["without"]) == len(found["users"])


def test_an_interrupted_grid_runs_what_is_missing_alone(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = replace(GRID, sizes=(SMALL,), generators=(MINIMUM_JERK,), steps=6)
    cells = list(grid.cells())
    (tmp_path / "cells").mkdir()
    for cell in cells[:-1]:
        (tmp_path / "cells" / f"{cell.name}.json").write_text(json.dumps(known(cell, 0.2)))
    (tmp_path / "cells" / f".{cells[-1].name}.json").write_text('{"cell"')  # of a process that was killed
    before = finished([cell.name for cell in cells], tmp_path / "cells")
    assert list(before) == [cell.name for cell in cells[:-1]]
    with pytest.raises(ValueError, match="groups"):  # the known cells have other users than the one that is run
        measure(grid, [table], tmp_path, 1)
    after = finished([cell.name for cell in cells], tmp_path / "cells")
    assert {name: after[name] for name in before} == before
    assert len(after[cells[-1].name]["users"]) != USERS
    assert capsys.readouterr().err.count(f"4/4  {cells[-1].name}: AUC excess") == 1
    assert not (tmp_path / "tables.md").exists()


def test_a_complete_grid_is_reported_without_a_training(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scarce_data, "run_cell", pytest.fail)
    grid = replace(GRID, sizes=(SMALL,))
    (tmp_path / "cells").mkdir()
    for cell in grid.cells():
        (tmp_path / "cells" / f"{cell.name}.json").write_text(json.dumps(known(cell, 0.2 - 0.1 * cell.alpha)))
    assert measure(grid, [table], tmp_path, 1) == 0
    assert capsys.readouterr().out == (tmp_path / "tables.md").read_text()
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert len(json.loads((tmp_path / "results.json").read_text())["rows"]) == 4


def test_a_folder_of_another_grid_is_refused(table: Path, tmp_path: Path) -> None:
    open_folder(tmp_path, settings_of(GRID, {SOURCE: table}))
    open_folder(tmp_path, settings_of(GRID, {SOURCE: table}))
    with pytest.raises(ConfigError, match=r"to hold cells of the same grid, but got other steps; name another folder"):
        open_folder(tmp_path, settings_of(replace(GRID, steps=12), {SOURCE: table}))


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (["--steps", "100"], "error: expected `steps` to be a multiple of 6"),
        (["--seeds", "1"], "error: expected `seeds >= 2`, but got 1"),
        (["--processes", "0"], "error: expected `--processes >= 1`, but got 0"),
        (["--sources", "third"], "error: expected recordings of every source, but got none of third"),
    ],
)
def test_wrong_input_ends_in_one_line(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], line: str
) -> None:
    assert main(["--recordings", str(table), "--out", str(tmp_path / "out"), "--sources", SOURCE, *wrong]) == 2
    assert capsys.readouterr().err.startswith(line)


def test_a_smaller_excess_in_every_source_pays_and_a_larger_one_harms() -> None:
    grid = replace(GRID, sources=("first", "second"), sizes=(SMALL,), generators=GENERATORS[:2])
    effect = {(GENERATORS[0], 1.0): -0.1, (GENERATORS[1], 1.0): 0.1, (NOTHING, 0.0): 0.0}
    results = {
        cell.name: known(cell, 0.2 + effect[cell.generator, cell.alpha], seed_effect=0.3) for cell in grid.cells()
    }
    rows = rows_of(grid, results)
    text = tables(rows, grid)
    assert "- 12 movements, alpha 1 of minimum jerk: pays in every source" in text
    assert "- 12 movements, alpha 1 of sigma-lognormal, fitted: harms in every source" in text
    assert "| 12 of 2 users | 1 | minimum jerk | 0.250 [" in text  # the mean of 0.1 and 0.4
    assert "| -0.100 [-0.100, -0.100] |" in text  # the seeds' own level cancels, and so do the users'
    assert picture(rows, grid).axes


def test_a_change_in_one_source_alone_neither_pays_nor_harms() -> None:
    grid = replace(GRID, sources=("first", "second"), sizes=(SMALL,), generators=GENERATORS[:1])
    results = {cell.name: known(cell, 0.1 if cell.alpha and cell.source == "first" else 0.2) for cell in grid.cells()}
    text = tables(rows_of(grid, results), grid)
    assert "in every source" not in text
    assert "- of 2 changes, one by one: 1 pay, 0 harm" in text


def test_a_failed_training_leaves_its_row_without_a_result_and_no_decision() -> None:
    grid = replace(GRID, sizes=(SMALL,), generators=GENERATORS[:1])
    results = {cell.name: known(cell, 0.2 - 0.1 * cell.alpha) for cell in grid.cells()}
    failed = Cell(SOURCE, SMALL, 1, GENERATORS[0], 1.0)
    results[failed.name] = {"cell": failed.name, "failure": "the loss is nan", "seconds": 1.0}
    nothing, row = rows_of(grid, results)
    assert row.level[names.VAL_AUC_EXCESS] is None
    assert not row.pays
    assert nothing.level[names.VAL_AUC_EXCESS] is not None
    assert "| failed | failed |" in tables([nothing, row], grid)
    assert picture([nothing, row], grid).axes


def test_the_time_left_is_that_of_cells_of_the_same_kind() -> None:
    grid = replace(GRID, sizes=(SMALL,), generators=(COTRAINING,))
    first = {cell.name: {"seconds": 100.0 if cell.alpha else 20.0} for cell in grid.cells() if cell.seed == 0}
    kinds = {cell.name: kind_of(cell) for cell in grid.cells()}
    assert seconds_left(kinds, first, 2) == 60.0
    assert seconds_left(kinds, {}, 2) == 0.0
