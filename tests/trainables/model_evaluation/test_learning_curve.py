"""Learning curves: metrics of a run's log against its steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from trainables.eval.detection.calibration import wilson
from trainables.model_evaluation.learning_curve import LearningCurve, draw_learning_curve, plot_learning_curve

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


def test_shares_have_intervals_and_references_lines_of_their_own() -> None:
    axis = Figure().subplots()
    draw_learning_curve(axis, replace(CURVE, episodes=64, references={"rule": 0.9}), LOG)
    model, chance, rule = axis.get_lines()
    assert [line.get_label() for line in (model, chance, rule)] == ["model", "chance", "rule"]
    assert [float(y) for y in np.asarray(rule.get_ydata())] == [0.9, 0.9]
    bands = [np.asarray(band.get_paths()[0].vertices)[:, 1] for band in axis.collections]
    low, high = wilson(0.5, 64)
    assert (low, high) == pytest.approx((bands[0][np.isclose(bands[0], low)][0], bands[0].max()))
    assert len(bands) == 2
