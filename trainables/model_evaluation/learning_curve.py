"""Learning curve of a run: logged metrics after every epoch, against steps of the training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainables.eval.detection.calibration import wilson
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
        episodes: Of each evaluation, where the metrics are shares of them: they get Wilson's 95 % intervals; 0: none.
        references: Name in the legend -> value of what is not trained.
    """

    x: tuple[str, str]
    y: str
    lines: Mapping[str, str]
    episodes: int = 0
    references: Mapping[str, float] = field(default_factory=dict)

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
    """Draw every line, a dot per epoch, with its intervals; and the references."""
    for name, points in curve.points(log).items():
        x, y = zip(*points, strict=True)
        (line,) = axis.plot(x, y, marker=".", label=name)
        if curve.episodes:
            low, high = zip(*(wilson(value, curve.episodes) for value in y), strict=True)
            axis.fill_between(x, low, high, color=line.get_color(), alpha=0.25, linewidth=0)
    for at, (name, value) in enumerate(curve.references.items()):
        axis.axhline(value, color="0.5", linestyle=("--", ":")[at % 2], label=name)
    axis.set(xlabel=curve.x[1], ylabel=curve.y)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
