"""The benchmark of the selection: a column per number of candidates, paired differences, and a detector as a probe."""

import json
from pathlib import Path

import pytest

from benchmarks.selection import main
from tests.serve import published


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
    assert printed[0] == "159 movements of 20 users, folds by users, 1 seed(s) of the noise"
    assert printed[1] == "| metric | floor | K=1 | K=3 | K=3 less K=1 |"
    lines = {line.split(" | ")[0].removeprefix("| "): line.split(" | ") for line in printed[3:]}
    assert {"val/auc_features (seen)", "val/auc_convolutions (not seen)", "detector (not seen)"} <= set(lines)
    assert all(len(line) >= 4 for line in lines.values())
    one, three = json.loads(output.read_text())["rows"]
    assert (one["effective"], one["calls"], three["calls"]) == (1.0, 2, 6)
    assert 1.0 <= three["effective"] <= 3.0
    value, least = three["estimates"]["val/mmd"]["value"], one["estimates"]["val/mmd"]["value"]
    assert lines["val/mmd"][4].startswith(f"{value - least:.4f}")
