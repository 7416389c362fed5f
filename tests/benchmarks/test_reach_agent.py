"""The benchmark of agents: a curve for each run, references below, and the first step with the wanted success."""

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.reach_agent import LAYOUTS, RUNS, Curve, Point, arguments, base_of, config_of, main


def test_each_run_has_its_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, drawn = tmp_path / "curves.json", tmp_path / "curves.png"
    tiny = ["--epochs", "1", "--steps", "2", "--episodes", "8", "--agents", "contrastive", "cloning"]
    assert main([*tiny, "--output", str(output), "--picture", str(drawn)]) == 0
    measured = json.loads(output.read_text())
    assert [(one["name"], len(one["points"])) for one in measured["curves"]] == [("contrastive", 2), ("cloning", 2)]
    steps = [[point["environment_steps"] for point in one["points"]] for one in measured["curves"]]
    assert steps == [[0, 2 * 128 * 180], [0, 0]]
    assert [row["name"] for row in measured["references"]] == ["bell-shaped", "proportional", "random actions"]
    assert measured["references"][2]["success"] == 0.0
    assert "contrastive" in capsys.readouterr().out
    with Image.open(drawn) as image:
        assert image.width > 500


def test_every_run_of_every_layout_has_a_configuration() -> None:
    base = base_of(arguments(["--epochs", "3"]))
    for name, (_, mode) in RUNS.items():
        for layout in LAYOUTS if mode == "online" else ("free",):
            assert config_of(layout, name, 1, base).environment == LAYOUTS[layout]


def test_the_steps_needed_are_those_of_the_first_point_with_the_wanted_success() -> None:
    points = tuple(Point(steps, success, 1.0) for steps, success in ((0, 0.0), (10, 0.96), (20, 0.9), (30, 0.99)))
    assert Curve("free", "sac", 0, points).steps_needed == 10
    assert Curve("free", "sac", 0, points[:1]).steps_needed is None
