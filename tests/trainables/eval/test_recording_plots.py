"""Pictures of recordings: any movement is drawn, with its marks, and the file names its program."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from PIL import Image

from tests.trainables.data.inspection.takes_of import recordings
from trainables.data.readers.recording_set import Recording
from trainables.eval import recording_plots
from trainables.eval.plot_style import DPI
from trainables.eval.recording_plots import plot_recordings

OWNER = ("lab", "lab/" + "long" * 20, "1")


def movement(points: int, x: float = 5.0, y: float = 0.0) -> Recording:
    number = np.arange(float(points))
    return Recording(number * 16.0, number * x, number * y, *OWNER)


@pytest.mark.parametrize("count", [1, 3, 5, 6, 20])
def test_any_number_is_drawn_and_the_file_names_its_program(count: int, tmp_path: Path) -> None:
    file = tmp_path / "made" / "p.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_recordings(recordings(4, 5)[:count], file, "a program")
    with Image.open(file) as image:
        assert image.info["Software"] == "a program"
        rows = -(-count // recording_plots.COLUMNS)
        assert image.height == pytest.approx(DPI * (rows * recording_plots.CELL_INCHES[1] + 1.35), abs=2)


ODD = {
    "two points": movement(2),
    "vertical": movement(20, x=0.0, y=-3.0),
    "still": movement(20, x=0.0),
    "at one time": Recording(np.zeros(3), np.arange(3.0), np.arange(3.0), *OWNER),
    "equal stamps": Recording(np.array([0.0, 0.0, 16.0, 16.0]), np.arange(4.0), np.arange(4.0), *OWNER),
    "a target of no known width": Recording(np.arange(3.0), np.arange(3.0), np.arange(3.0), *OWNER, (9.0, 9.0)),
    "a target": Recording(np.arange(3.0), np.arange(3.0), np.arange(3.0), *OWNER, (9.0, 9.0), 4.0),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_movements_are_drawn(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_recordings([ODD[name]], tmp_path / "p.png", "a program")
    assert (tmp_path / "p.png").stat().st_size > 0


def test_speed_is_that_of_the_steps_and_y_points_downwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []

    def keep(figure: Figure, *_: object, **__: object) -> None:
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    one = movement(6, x=3.0, y=4.0)
    plot_recordings([one], tmp_path / "p.png", "a program")
    path, speed = figures[0].axes
    assert path.yaxis_inverted()
    values, edges, _ = next(patch for patch in speed.patches if isinstance(patch, StepPatch)).get_data()
    assert values.tolist() == pytest.approx([5 / 0.016] * 5)
    assert edges.tolist() == pytest.approx((one.t_ms / 1000).tolist())
    start, end = path.get_lines()[1:3]
    assert (start.get_label(), np.asarray(start.get_xydata()).tolist()) == ("start", [[0.0, 0.0]])
    assert (end.get_label(), np.asarray(end.get_xydata()).tolist()) == ("end", [[15.0, 20.0]])
