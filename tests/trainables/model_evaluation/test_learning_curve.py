"""Learning curves: metrics of a run's log against its steps."""

from pathlib import Path

from PIL import Image

from trainables.model_evaluation.learning_curve import LearningCurve, plot_learning_curve

CURVE = LearningCurve(("train/steps", "steps"), "accuracy", {"model": "val/model", "chance": "val/chance"})
LOG = [
    {"epoch": 0, "val/model": 0.1, "val/chance": 0.2},
    {"epoch": 1, "val/model": 0.5, "val/chance": 0.2, "train/steps": 30.0},
    {"epoch": 2, "val/chance": 0.2, "train/steps": 60.0},
]


def test_the_untrained_model_stands_at_zero_and_what_was_not_logged_is_left_out() -> None:
    assert CURVE.points(LOG) == {
        "model": [(0.0, 0.1), (30.0, 0.5)],
        "chance": [(0.0, 0.2), (30.0, 0.2), (60.0, 0.2)],
    }


def test_the_picture_has_every_line(tmp_path: Path) -> None:
    plot_learning_curve(CURVE, LOG, tmp_path / "learning.png")
    with Image.open(tmp_path / "learning.png") as picture:
        assert min(picture.size) > 400
        assert len({colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or ()}) > 10
