"""The plot of a detector: made for every mixture of families, and different where the scores differ."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

from trainables.detector.evaluation.plots import plot_overview
from trainables.eval.intervals.jackknife import Interval
from trainables.training.metric_names import family_fnr

INTERVALS = {
    family_fnr("a_bot"): Interval(0.4, 0.1, -0.1, 1.2, 7),
    family_fnr("other"): Interval(0.0, 0.0, 0.0, 0.0, 7),
}


def scores(count: int, shift: float) -> Tensor:
    return 2 * torch.randn(count, generator=torch.Generator().manual_seed(count), dtype=torch.float64) + shift


HUMAN = scores(60, -4.0)
BOTS = {"a_bot": scores(61, -1.0), "other": scores(120, 5.0), "third": scores(62, 1.0)}


def plotted(
    file: Path, unseen: tuple[str, ...], intervals: Mapping[str, Interval], human: Tensor = HUMAN
) -> npt.NDArray[np.uint8]:
    plot_overview(human, BOTS, unseen, 0.05, intervals, file)
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("unseen", [(), ("a_bot",), ("a_bot", "other"), tuple(BOTS)])
@pytest.mark.parametrize("intervals", [{}, INTERVALS], ids=["once", "again"])
def test_every_mixture_of_families_has_a_plot(
    tmp_path: Path, unseen: tuple[str, ...], intervals: Mapping[str, Interval]
) -> None:
    """Also where an interval ends beyond 0 or 1, or has no length."""
    image = plotted(tmp_path / "a.png", unseen, intervals)
    assert 0.5 < (image == 255).all(axis=2).mean() < 0.98  # mostly background
    vermilion = (np.abs(image.astype(int) - (213, 94, 0)).sum(axis=2) < 30).sum()
    assert (vermilion > 50) == bool(unseen)


def test_other_scores_and_intervals_give_another_plot(tmp_path: Path) -> None:
    first = plotted(tmp_path / "a.png", ("a_bot",), {})
    assert (first == plotted(tmp_path / "b.png", ("a_bot",), {})).all()
    assert (first != plotted(tmp_path / "c.png", ("a_bot",), INTERVALS)).any()
    assert (first != plotted(tmp_path / "d.png", ("a_bot",), {}, HUMAN + 1)).any()


def test_scores_beyond_the_axis_are_clipped_to_its_edge(tmp_path: Path) -> None:
    assert (plotted(tmp_path / "a.png", ("a_bot",), {}, HUMAN + 1e3) < 255).any()
