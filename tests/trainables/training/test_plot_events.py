"""Plots of epochs in event files, read back as TensorBoard reads them."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from trainables.training.plot_events import PlotWriter
from trainables.training.trainable import Epoch

NAME = "plots/square"


def epoch(number: int, width: int = 6) -> Epoch:
    """An epoch with one plot, `width` pixels wide."""

    def plots() -> Mapping[str, Any]:
        return {NAME: np.zeros((4, width, 4), dtype=np.uint8)}

    return Epoch(number, {}, lambda folder: None, plots)


def write(folder: Path, epochs: Sequence[Epoch], every: int) -> None:
    """Write the plots of epochs as one process does."""
    with closing(PlotWriter(folder, every)) as plot:
        for one in epochs:
            plot(one)


def read(folder: Path) -> list[tuple[int, int]]:
    """Step and width of every plot."""
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    return [(image.step, image.width) for image in events.Images(NAME)]


@pytest.mark.parametrize(("every", "steps"), [(1, [1, 2, 3, 4]), (2, [2, 4]), (3, [3])])
def test_plots_are_written_every_so_many_epochs(tmp_path: Path, every: int, steps: list[int]) -> None:
    write(tmp_path, [epoch(number) for number in range(5)], every)
    assert read(tmp_path) == [(step, 6) for step in steps]


def test_a_plot_can_be_read_while_the_training_continues(tmp_path: Path) -> None:
    with closing(PlotWriter(tmp_path, 1)) as plot:
        plot(epoch(1))
        assert read(tmp_path) == [(1, 6)]


def test_an_epoch_that_is_repeated_replaces_the_plots_from_it_on(tmp_path: Path) -> None:
    write(tmp_path, [epoch(1), epoch(2), epoch(3)], every=1)
    [cut] = tmp_path.iterdir()
    cut.rename(cut.with_name("events.out.tfevents.0000000001.earlier"))
    write(tmp_path, [epoch(2, width=8), epoch(3, width=8)], every=1)
    assert read(tmp_path) == [(1, 6), (2, 8), (3, 8)]


@pytest.mark.parametrize("every", [0, 1, 2])
def test_nothing_is_written_where_there_is_no_plot(tmp_path: Path, every: int) -> None:
    folder = tmp_path / "plots"
    write(folder, [epoch(0), Epoch(2, {}, lambda path: None)], every)
    write(folder, [epoch(1)], every=0)
    assert not folder.exists()
