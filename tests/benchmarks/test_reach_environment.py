"""The benchmark of the reaching environment: rows for every layout, and figures that agree with each other."""

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.reach_environment import CONFIGS, THREADS, main, success
from trainables.critic.environment.controller import CONTROLLERS


def test_every_layout_has_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, picture = tmp_path / "rows.json", tmp_path / "ways.png"
    tiny = ["--copies", "8", "--steps", "3", "--rounds", "1"]
    assert main([*tiny, "--output", str(output), "--picture", str(picture)]) == 0
    measured = json.loads(output.read_text())
    assert {(row["layout"], row["threads"]) for row in measured["speed"]} == {
        (name, count) for name in CONFIGS for count in THREADS
    }
    for row in measured["speed"]:
        assert row["steps_per_s"] * row["batch_ms"] == pytest.approx(8e3)
    assert len(measured["success"]) == len(CONFIGS) * len(CONTROLLERS)
    assert capsys.readouterr().out.count("u_maze, detours") == len(THREADS) + len(CONTROLLERS)
    with Image.open(picture) as drawn:
        assert drawn.width > 1000


def test_the_time_of_a_success_is_that_of_its_episode() -> None:
    """No success is faster than six steps, nor slower than an episode."""
    row = success("free", "proportional", copies=50)
    assert row.success == 1.0
    assert 6 / 60 < row.seconds < 180 / 60
