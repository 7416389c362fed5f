"""Detection plots are drawn without a display, for every kind of input."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainables.core.seeding import generator
from trainables.eval.detection.calibration import reliability
from trainables.eval.detection.plots import (
    LEGEND,
    plot_detection_matrix,
    plot_detection_rates,
    plot_reliability,
    plot_sessions,
)
from trainables.eval.intervals.cluster_bootstrap import Estimate, Proportion


def size(file: Path) -> tuple[int, int]:
    """Width and height of a picture that is not blank."""
    with Image.open(file) as picture:
        assert len(picture.convert("L").getcolors() or range(256)) > 10
        return picture.size


@pytest.mark.parametrize("rows", [12, 400])
def test_reliability(rows: int, tmp_path: Path) -> None:
    p = torch.rand(rows, generator=generator(0, "p"), dtype=torch.float64)
    is_bot = torch.rand(rows, generator=generator(1, "p"), dtype=torch.float64) < p
    found = [reliability(one, is_bot, min(rows, 15), generator(2, "p")) for one in (p, p.square())]
    plot_reliability(found[1], found[0], tmp_path / "r.png")
    assert min(size(tmp_path / "r.png")) > 500


@pytest.mark.parametrize("count", [1, 3, 30])
def test_detection_rates_grow_with_their_rows(count: int, tmp_path: Path) -> None:
    kinds = list(LEGEND)
    shares = [Proportion(k, 30, 5, max(k - 3, 0) / 30, min(k + 3, 30) / 30) for k in range(count)]
    plot_detection_rates(
        [(f"style {k}", kinds[k % 3], found) for k, found in enumerate(shares)], 0.01, tmp_path / "b.png"
    )
    assert size(tmp_path / "b.png")[1] > 25 * count


def test_session_curves(tmp_path: Path) -> None:
    points = [(n, Estimate(0.7 + 0.02 * n, 0.6 + 0.02 * n, 0.8 + 0.02 * n, 100), 0.75 + 0.02 * n) for n in (1, 3, 10)]
    plot_sessions({"all bots": points, "sly": points[:1]}, tmp_path / "s.png")
    assert min(size(tmp_path / "s.png")) > 400


@pytest.mark.parametrize("others", [0, 10])
def test_the_matrix_grows_with_its_families(others: int, tmp_path: Path) -> None:
    """Also where a family was not evaluated by every detector."""
    families = ["pid", "noise", *(f"other {k}" for k in range(others))]
    matrix = {"pid": dict.fromkeys(families, 0.3), "noise": {"pid": 0.9, "noise": 0.0}}
    plot_detection_matrix(matrix, families, 0.01, tmp_path / "m.png")
    assert size(tmp_path / "m.png")[1] > 200 + 35 * len(families)


def test_the_matrix_frames_the_family_left_out(tmp_path: Path) -> None:
    """Without its own share a detector has no frame: some 250 dark pixels fewer, 60 of which are the number's."""
    dark = []
    for name, shares in {"a.png": {"pid": 1.0, "noise": 1.0}, "b.png": {"noise": 1.0}}.items():
        plot_detection_matrix({"pid": shares}, ["pid", "noise"], 0.01, tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            dark.append(int((np.asarray(picture.convert("L")) < 60).sum()))
    assert dark[0] > dark[1] + 150
