"""The benchmark of agents: a curve for each run, at equal compute where that is asked for, and references below."""

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.reach_agent import arguments, base_of, main

TINY = ["--epochs", "1", "--episodes", "8"]


def test_each_run_has_its_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, drawn = tmp_path / "curves.json", tmp_path / "curves.png"
    agents = ["--steps", "2", "--agents", "contrastive", "cloning"]
    assert main([*TINY, *agents, "--output", str(output), "--picture", str(drawn)]) == 0
    measured = json.loads(output.read_text())
    assert [(one["run"]["name"], len(one["points"])) for one in measured["curves"]] == [
        ("contrastive", 2),
        ("cloning", 2),
    ]
    steps = [[point["environment_steps"] for point in one["points"]] for one in measured["curves"]]
    assert steps == [[0, 2 * 128 * 180], [0, 0]]
    assert [row["name"] for row in measured["references"]] == ["bell-shaped", "proportional", "random actions"]
    assert measured["references"][2]["success"] == 0.0
    assert "contrastive" in capsys.readouterr().out
    with Image.open(drawn) as image:
        assert image.width > 500


def test_depths_share_the_compute_of_the_first_and_earlier_runs_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, drawn = tmp_path / "curves.json", tmp_path / "curves.png"
    depths = ["--steps", "30", "--agents", "contrastive", "--depths", "4", "8", "--equal-compute"]
    small = ["--set", "model.width=16", "collection.copies=32", "batch_size=32", "policy.other_goals=1.0"]
    assert main([*TINY, *depths, *small, "--output", str(output)]) == 0
    curves = json.loads(output.read_text())["curves"]
    assert [one["run"]["depth"] for one in curves] == [4, 8]
    assert curves[0]["updates"] == 30 > curves[1]["updates"]
    assert curves[0]["flops"] >= curves[1]["flops"] > 0.9 * curves[0]["flops"]
    capsys.readouterr()
    assert main([*TINY, "--agents", "--earlier", str(output), "--picture", str(drawn)]) == 0
    assert capsys.readouterr().out.count("contrastive") == 2
    assert drawn.exists()


def test_keys_of_the_trainable_can_be_set() -> None:
    base = base_of(arguments(["--set", "policy.other_goals=1.0", "collection.copies=64", "--lr", "0.001"]))
    assert (base.policy.other_goals, base.collection.copies, base.optim.lr) == (1.0, 64, 0.001)
