"""Plots of epochs as TensorBoard events: every few epochs, beside the metrics of a run or in a run of their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from trainables.training.trainable import Epoch


def add_plots(writer: SummaryWriter, epoch: Epoch, every: int) -> None:
    """Add the plots of an epoch whose number is a multiple of `every`; 0: of none."""
    _add(writer, _due(epoch, every), epoch.number)


class PlotWriter:
    """Writer of the same plots into an event file of their own, which begins with the first of them.

    An epoch that is repeated after a restart replaces what was written from it on. TensorBoard reads the files of a
    folder one after the other: no second process may write into it meanwhile.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder = folder
        self.every = every
        self.writer: SummaryWriter | None = None

    def __call__(self, epoch: Epoch) -> None:
        """Write the plots of an epoch if they are due; they can be read at once."""
        plots = _due(epoch, self.every)
        if plots:
            self.writer = self.writer or SummaryWriter(str(self.folder), purge_step=epoch.number)
            _add(self.writer, plots, epoch.number)
            self.writer.flush()

    def close(self) -> None:
        """End the file."""
        if self.writer:
            self.writer.close()


def _due(epoch: Epoch, every: int) -> Mapping[str, Any]:
    """Return the plots of an epoch by name; the untrained model has none."""
    due = every and epoch.number and epoch.number % every == 0
    return epoch.plots() if due and epoch.plots else {}


def _add(writer: SummaryWriter, plots: Mapping[str, Any], step: int) -> None:
    for name, image in plots.items():
        writer.add_image(name, image, step, dataformats="HWC")
