"""A training run as it goes: a live table in a terminal, one line per epoch in a log, and how it ended."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trainables.core.formatting import clock, interpreter, number
from trainables.core.page import page
from trainables.training import metric_names as names
from trainables.training.metric import TRAINING_LOSS, Metric, MetricSet
from trainables.training.run_folder import CHECKPOINTS, METRICS, Line, RunFolder, best_epoch
from trainables.training.trainable import Notes, no_notes

SHOWN = 14  # rows of the live table
REDRAWN_PER_S = 2  # between epochs only the clock moves


class Progress:
    """Shows the epochs of the run in `folder`; entered before the first of this process.

    Args:
        epochs: The number of the last epoch.
        metric_set: Of the kind of trainable.
        notes: Lines about an epoch that are printed below it (`TrainableSpec.notes`).
    """

    def __init__(
        self, console: Console, folder: RunFolder, epochs: int, metric_set: MetricSet, notes: Notes = no_notes
    ) -> None:
        self.console = console
        self.folder = folder
        self.epochs = epochs
        self.notes = notes
        self.metrics = (TRAINING_LOSS, *(metric_set[name] for name in metric_set.shown))
        self.lines = folder.metrics()
        self.began = time.monotonic()
        self.shown: list[float] = []  # when each epoch of this process was shown
        live = Live(console=console, get_renderable=self._table, refresh_per_second=REDRAWN_PER_S, transient=True)
        self.live = live if console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self.lines:
            resuming = "; resuming" if self._epoch() < self.epochs else ""
            self._print(f"{self.folder.path} holds {self._epoch()} of {self.epochs} epochs{resuming}")
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def __call__(self, line: Line) -> None:
        """Show one more epoch."""
        self.lines.append(line)
        self.shown.append(time.monotonic())
        if self.live is None:
            metrics = _shown_in([line], self.metrics)
            values = "  ".join(f"{metric.column} {_value(line, metric)}" for metric in metrics)
            self._print(
                f"{clock(self._spent_s()):>7}  epoch {self._epoch()}/{self.epochs}  {values}  left {self._left()}"
            )
        for note in self.notes(line):
            self._print(f"{'':>7}  {note}")

    def print_end(self, next_command: str, recommended: str) -> None:
        """Print what was reached, where it lies, and `next_command` with a checkpoint in the place of CHECKPOINT.

        Args:
            recommended: The link that names this checkpoint (`MetricSet.recommended`).
        """
        checkpoint = self.folder.path / CHECKPOINTS / recommended
        best = best_epoch(self.lines, self.folder.epoch_order)
        if not self.shown:
            self._print("training already complete; use another folder for a new run")
        self.console.print(f"Best of {self._epoch()} epochs, and the untrained model", style="bold")
        ends = [line for line in self.lines if line[names.EPOCH] in (0, best)]
        page(self.console).print(table(ends, best, self.metrics))
        lines = {
            "checkpoint": checkpoint,
            "numbers": self.folder.path / METRICS,
            "TensorBoard": f"make tensorboard LOGDIR={self.folder.path}",
            "next": f"{interpreter()} -m {next_command}".replace("CHECKPOINT", str(checkpoint)),
        }
        for name, text in lines.items():
            self._print(f"  {name:<12} {text}")

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)

    def _epoch(self) -> int:
        return int(self.lines[-1][names.EPOCH]) if self.lines else 0

    def _spent_s(self) -> float:
        return time.monotonic() - self.began

    def _left(self) -> str:
        """Time left at the pace of this process; unknown before its second epoch, for the first brings the start."""
        if len(self.shown) < 2:
            return "-"
        epoch_s = (self.shown[-1] - self.shown[0]) / (len(self.shown) - 1)
        return clock(epoch_s * (self.epochs - self._epoch()) - (time.monotonic() - self.shown[-1]))

    def _table(self) -> RenderableType:
        head = Text(f"epoch {self._epoch()} of {self.epochs}, {clock(self._spent_s())} spent, {self._left()} left")
        return Group(
            head,
            table(
                self.lines[-SHOWN:],
                best_epoch(self.lines, self.folder.epoch_order) if self._epoch() else None,
                self.metrics,
            ),
        )


def table(lines: Sequence[Line], best: int | None, metrics: Sequence[Metric[Any]]) -> Table:
    """One row per epoch, the best one bold."""
    drawn, metrics = Table(box=None, pad_edge=False), _shown_in(lines, metrics)
    for column in ("epoch", *(metric.column for metric in metrics)):
        drawn.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        epoch = int(line[names.EPOCH])
        cells = (_value(line, metric) for metric in metrics)
        drawn.add_row(str(epoch), *cells, style="bold" if epoch == best else None)
    return drawn


def _shown_in(lines: Sequence[Line], metrics: Sequence[Metric[Any]]) -> list[Metric[Any]]:
    """Return the metrics without the training loss where no line has it: a GAN has none, and an untrained model."""
    return [metric for metric in metrics if metric is not TRAINING_LOSS or any(metric.name in line for line in lines)]


def _value(line: Line, metric: Metric[Any]) -> str:
    return number(line.get(metric.name), metric.digits)
