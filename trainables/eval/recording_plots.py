"""Plot recordings as they were recorded: path in pixels of the screen, and speed over time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from trainables.core.formatting import counted
from trainables.data.readers.recording_set import Recording
from trainables.eval.plot_style import DPI, FAKE, NULL, REAL

COLUMNS = 5
LEAST_COLUMNS = 3  # of the width, for the title
CELL_INCHES = (2.7, 2.75)
BORDER_INCHES = (0.75, 0.6)  # above and below the cells
GREY, DARK = "#777777", "#333333"
LARGE, SMALL, TINY = 12, 7.5, 6  # sizes of text in points
MARGIN = 0.12  # of the extent of a path, around it
LEAST_PX = 40.0  # shown of an axis: a straight path looks straight
MARKS = ("start", "end", "target")
NAME = 22  # letters of a user


def plot_recordings(recordings: Sequence[Recording], file: Path, written_by: str) -> None:
    """Plot each movement in a cell of its own: its path, a dot per event, and below it its speed.

    Args:
        written_by: Name of the program, for the metadata of the file.
    """
    rows, columns = -(-len(recordings) // COLUMNS), min(COLUMNS, len(recordings))
    width, height = max(columns, LEAST_COLUMNS) * CELL_INCHES[0], rows * CELL_INCHES[1] + sum(BORDER_INCHES)
    figure = Figure(figsize=(width, height), facecolor="white")
    users = len({one.user for one in recordings})
    title = f"{counted(len(recordings), 'movement')} of {counted(users, 'user')} as recorded"
    about = f"{title}: a dot per event, below it the speed of each step"
    figure.text(0.5, 1 - 0.3 / height, about, ha="center", fontsize=LARGE)
    top, bottom = 1 - BORDER_INCHES[0] / height, BORDER_INCHES[1] / height
    grid = figure.add_gridspec(
        rows, columns, left=0.55 / width, right=1 - 0.1 / width, top=top, bottom=bottom, hspace=0.32, wspace=0.2
    )
    for place, one in enumerate(recordings):
        cell = grid[divmod(place, columns)].subgridspec(2, 1, height_ratios=[2.6, 1], hspace=0.2)
        path, speed = figure.add_subplot(cell[0]), figure.add_subplot(cell[1])
        _plot_path(path, one)
        _plot_speed(speed, one)
        if place % columns == 0:
            path.set_ylabel("px", fontsize=TINY, color=GREY)
            speed.set_ylabel("px/s", fontsize=TINY, color=GREY)
        if place + columns >= len(recordings):
            speed.set_xlabel("time (s)", fontsize=TINY, color=GREY)
    lines = (line for axis in figure.axes for line in axis.get_lines())
    marks = {str(line.get_label()): line for line in lines if line.get_label() in MARKS}
    figure.legend(list(marks.values()), list(marks), fontsize=SMALL, frameon=False, loc="lower right", ncols=len(marks))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=DPI, metadata={"Software": written_by})


def _plot_path(axis: Axes, one: Recording) -> None:
    """Plot a path on the screen, whose y points downwards, from the ring to the dot; a target in its size."""
    axis.plot(one.x, one.y, color=REAL, linewidth=0.9, marker=".", markersize=2.6)
    axis.plot(one.x[0], one.y[0], color=DARK, marker="o", markersize=5, fillstyle="none", ls="none", label=MARKS[0])
    axis.plot(one.x[-1], one.y[-1], color=FAKE, marker="o", markersize=4.5, ls="none", label=MARKS[1])
    if one.target is not None:
        axis.plot(*one.target, color=NULL, marker="+", markersize=6, ls="none", label=MARKS[2])
        axis.add_patch(Circle(one.target, (one.target_width_px or 0) / 2, fill=False, color=NULL, linewidth=0.8))
    distance_px = float(np.hypot(one.x[-1] - one.x[0], one.y[-1] - one.y[0]))
    name = one.user if len(one.user) <= NAME else f"{one.user[: NAME - 3]}..."
    about = f"{name}\n{distance_px:,.0f} px, {one.t_ms[-1] / 1000:.2f} s, {len(one.t_ms)} events"
    axis.set_title(about, fontsize=SMALL, color=DARK, pad=3)
    centre = np.array([(values.max() + values.min()) / 2 for values in (one.x, one.y)])
    axis.update_datalim([centre - LEAST_PX / 2, centre + LEAST_PX / 2])
    axis.margins(MARGIN)
    axis.yaxis.set_inverted(True)
    axis.set_aspect("equal", adjustable="datalim")
    _quiet(axis)


def _plot_speed(axis: Axes, one: Recording) -> None:
    """Plot the mean speed of each step; of equal times the last point holds."""
    last = np.append(np.diff(one.t_ms) > 0, True)
    t_s, x, y = one.t_ms[last] / 1000, one.x[last], one.y[last]
    if len(t_s) > 1:
        axis.stairs(np.hypot(np.diff(x), np.diff(y)) / np.diff(t_s), t_s, color=REAL, alpha=0.3, fill=True)
        axis.stairs(np.hypot(np.diff(x), np.diff(y)) / np.diff(t_s), t_s, color=REAL, linewidth=0.7)
    axis.set_xlim(0, one.t_ms[-1] / 1000 or 1)
    axis.set_ylim(bottom=0)
    _quiet(axis)


def _quiet(axis: Axes) -> None:
    """Leave a few small ticks and two lines of the frame."""
    axis.tick_params(labelsize=TINY, length=2, pad=1.5, colors=GREY)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#bbbbbb")
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.yaxis.set_major_locator(MaxNLocator(3))
