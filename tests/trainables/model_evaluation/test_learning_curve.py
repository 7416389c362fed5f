"""Learning curves: the metrics of a run's log against its steps, where the checkpoint lies in a run."""

import json
from pathlib import Path

import pytest
from PIL import Image

from trainables.core.config import ConfigError
from trainables.model_evaluation.learning_curve import LearningCurve, log_of, plot_learning_curve

CURVE = LearningCurve(("train/steps", "steps"), "accuracy", {"model": "val/model", "chance": "val/chance"})
LOG = [
    {"epoch": 0, "val/model": 0.1, "val/chance": 0.2},
    {"epoch": 1, "val/model": 0.5, "val/chance": 0.2, "train/steps": 30.0},
    {"epoch": 2, "val/chance": 0.2, "train/steps": 60.0},
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two epochs, whose link names the last one."""
    checkpoints = tmp_path / "run" / "checkpoints"
    (checkpoints / "epoch-0002").mkdir(parents=True)
    (checkpoints / "best").symlink_to("epoch-0002")
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LOG))
    return tmp_path / "run"


def test_the_untrained_model_stands_at_zero_and_what_was_not_logged_is_left_out() -> None:
    assert CURVE.points(LOG) == {
        "model": [(0.0, 0.1), (30.0, 0.5)],
        "chance": [(0.0, 0.2), (30.0, 0.2), (60.0, 0.2)],
    }


def test_the_log_is_that_of_the_run_whatever_the_checkpoint_is_called(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run / "checkpoints" / "best")
    for checkpoint in (run / "checkpoints" / "best", run / "checkpoints" / "epoch-0002", tmp_path / "link"):
        assert log_of(checkpoint) == LOG


def test_a_checkpoint_in_no_run_has_no_log(run: Path, tmp_path: Path) -> None:
    (run / "moved").mkdir()
    assert log_of(run / "moved") == log_of(tmp_path / "nothing") == []
    (run / "metrics.jsonl").unlink()
    assert log_of(run / "checkpoints" / "best") == []


def test_a_damaged_log_is_one_line(run: Path) -> None:
    (run / "metrics.jsonl").write_text("{\n")
    with pytest.raises(ConfigError, match=r"metrics.jsonl: not one JSON object per line"):
        log_of(run / "checkpoints" / "best")


def test_the_picture_has_every_line(tmp_path: Path) -> None:
    plot_learning_curve(CURVE, LOG, tmp_path / "learning.png")
    with Image.open(tmp_path / "learning.png") as picture:
        assert min(picture.size) > 400
        assert len({colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or ()}) > 10
