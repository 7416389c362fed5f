"""Learning curve of a run: logged metrics after every epoch, against steps of the training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainables.eval.plot_style import DPI
from trainables.training.run_folder import Line

LEARNING_CURVE = "learning.png"


@dataclass(frozen=True)
class LearningCurve:
    """Metrics of a log against another one.

    Attributes:
        x: Metric of the horizontal axis, and its label; 0 of the untrained model, which does not log it.
        y: Label of the vertical axis.
        lines: Name in the legend -> metric.
    """

    x: tuple[str, str]
    y: str
    lines: Mapping[str, str]

    def points(self, log: Sequence[Line]) -> dict[str, list[tuple[float, float]]]:
        """Return name -> the pairs of both metrics, of the epochs that logged the second one."""
        return {
            name: [(line.get(self.x[0], 0.0), line[metric]) for line in log if metric in line]
            for name, metric in self.lines.items()
        }


def plot_learning_curve(curve: LearningCurve, log: Sequence[Line], file: Path) -> None:
    """Plot a learning curve into a file."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    draw_learning_curve(figure.subplots(), curve, log)
    figure.savefig(file, dpi=DPI)


def draw_learning_curve(axis: Axes, curve: LearningCurve, log: Sequence[Line]) -> None:
    """Draw every line, a dot per epoch."""
    for name, points in curve.points(log).items():
        axis.plot(*zip(*points, strict=True), marker=".", label=name)
    axis.set(xlabel=curve.x[1], ylabel=curve.y)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
