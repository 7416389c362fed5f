"""The benchmark of the selection: a column per number of candidates, paired differences, and a detector as a probe."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.selection import Row, main, shown, table
from benchmarks.support.intervals import over_users_and_seeds
from tests.serve import published
from trainables.eval.intervals.jackknife import JackknifeEstimate, difference, interval


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.diffusion(tmp_path_factory.mktemp("model") / "checkpoint")


def test_a_checkpoint_without_a_selector_is_refused(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(checkpoint)])
    assert "no selector; fit one with `python -m platform.selector ckpt=" in capsys.readouterr().err


def test_the_table_has_every_probe_with_its_floor_and_whether_the_selector_saw_it(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published.with_selector(checkpoint)
    detector, output = published.network(tmp_path / "detector"), tmp_path / "rows.json"
    given = [str(checkpoint), "--candidates", "1", "3", "--detector", str(detector), "--output", str(output)]
    assert main(given) == 0
    printed = capsys.readouterr().out.splitlines()
    ratio = "1 round(s) of the ratio on features, pixels"
    noise = "1 seed(s) of the noise, 1 training(s)"
    assert printed[0] == f"159 movements of 20 users, folds by users, {noise}, {ratio}"
    assert printed[1] == "| metric | floor | K=1 | K=3 | K=3 less K=1 |"
    lines = {line.split(" | ")[0].removeprefix("| "): line.split(" | ") for line in printed[3:]}
    assert {"val/auc_features (seen)", "val/auc_convolutions (not seen)", "detector (not seen)"} <= set(lines)
    assert all(len(line) >= 4 for line in lines.values())
    one, three = json.loads(output.read_text())["rows"]
    assert (one["effective"], one["calls"], three["calls"]) == (1.0, 2, 6)
    assert 1.0 <= three["effective"] <= 3.0
    value, least = three["estimates"]["val/mmd"]["value"], one["estimates"]["val/mmd"]["value"]
    assert lines["val/mmd"][4].startswith(f"{value - least:.4f}")


def estimate(seed: int, shift: float) -> JackknifeEstimate:
    """A metric of eight users that a training moves by its own amount."""
    random = np.random.default_rng(seed)
    return JackknifeEstimate(0.6 + shift, tuple(0.6 + shift + random.normal(scale=0.01, size=8)))


def test_several_trainings_give_means_with_intervals_over_users_and_trainings_and_paired_differences() -> None:
    """What a training moves in every column is in the interval of the columns, and not in that of the difference."""
    ones = [estimate(1, shift) for shift in (-0.1, 0.0, 0.1)]
    fours = [JackknifeEstimate(one.value - 0.05, tuple(each - 0.05 for each in one.without)) for one in ones]
    rows = [
        [Row(candidates, candidates, 2 * candidates, 0.1, {"val/mmd": one}) for one in values]
        for candidates, values in ((1, ones), (4, fours))
    ]
    printed = table(rows, {}, {}).splitlines()
    mmd = next(line for line in printed if line.startswith("| val/mmd")).split(" | ")
    assert mmd[2] == shown(ones, 4)
    found, paired = over_users_and_seeds(ones), [*map(difference, fours, ones)]
    assert mmd[2].startswith(f"{found.value:.4f} [{found.low:.4f}, ")
    assert found.se > interval(ones[0]).se
    assert mmd[4].startswith("-0.0500 [-0.0500, -0.0500]")
    assert over_users_and_seeds(paired).se == pytest.approx(0.0, abs=1e-9)
    assert printed[-1].split(" | ")[2:4] == ["2", "8"]
    assert {line.count("|") for line in printed} == {6}  # metric, floor, two numbers of candidates, their difference


def test_checkpoints_whose_ratios_have_other_columns_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = [published.diffusion(tmp_path / str(seed), seed) for seed in (0, 1)]
    published.with_selector(trained[0])
    published.with_selector(trained[1], replace(published.RATIO, columns=("convolutions",)))
    with pytest.raises(SystemExit, match="2"):
        main([*map(str, trained)])
    assert "expected a selector of 1 round(s) on features, pixels, as the first" in capsys.readouterr().err
