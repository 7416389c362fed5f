"""Pictures of a fit: movements with their strokes, and the ratio of every movement against what pixels allow."""

import io
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainables.data.config import RATE_HZ
from trainables.eval.plot_style import DPI, FAKE, NULL, REAL
from trainables.physical.extraction import StrokeSets
from trainables.physical.quality import Quality
from trainables.physical.stroke_form import StrokeForm
from trainables.physical.trajectories import Trajectories

SHOWN = (0.1, 0.5, 0.9)  # quantiles of the speed ratio whose movements are drawn
FINE = 8  # points of a curve per tick


def plot_fit(
    trajectories: Trajectories, strokes: StrokeSets, form: StrokeForm, found: Quality, file: Path | io.BytesIO
) -> None:
    """Draw three movements, from a poor fit to a good one, and the ratios of all movements beside their bounds."""
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(figsize=(10, 7), layout="constrained")
        grid = figure.subplots(len(SHOWN), 3)
        order = found.speed.nan_to_num(-1e9).argsort()
        for axes, share in zip(grid, SHOWN, strict=True):
            row = order[round(share * (len(order) - 1))][None]
            _path(axes[0], trajectories.take(row), strokes.take(row), form)
            _speed(axes[1], trajectories.take(row), strokes.take(row), form)
            axes[0].set_title(f"path {float(found.path[row]):.0f} dB, speed {float(found.speed[row]):.0f} dB")
        _ratios(grid[0][2], found.speed, found.speed_bound, "speed")
        _ratios(grid[1][2], found.path, found.path_bound, "path")
        _counts(grid[2][2], strokes)
        figure.savefig(file, dpi=DPI, format="png")


def _path(axes: Axes, one: Trajectories, strokes: StrokeSets, form: StrokeForm) -> None:
    steps = int(one.length[0])
    t_s = (torch.arange(steps * FINE + 1, dtype=torch.float64) / FINE / RATE_HZ)[None]
    fit = strokes.path(form, t_s)[0]
    axes.plot(*one.position_px[0, : steps + 1].T.numpy(), ".", color=REAL, label="recorded")
    axes.plot(*fit.T.numpy(), color=FAKE, label="strokes")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("along the chord, px")
    axes.legend(loc="best")


def _speed(axes: Axes, one: Trajectories, strokes: StrokeSets, form: StrokeForm) -> None:
    steps = int(one.length[0])
    t_s = torch.arange(steps * FINE + 1, dtype=torch.float64) / FINE / RATE_HZ
    middle = (torch.arange(steps, dtype=torch.float64) + 0.5) / RATE_HZ
    recorded = one.position_px[0, : steps + 1].diff(dim=0).norm(dim=-1) * RATE_HZ
    axes.plot(middle, recorded, ".", color=REAL)
    moved = form.displacement(strokes.free, t_s[None])[0] * strokes.present[0, :, None, None]
    for stroke in moved:
        axes.plot(t_s[1:], stroke.diff(dim=0).norm(dim=-1) * RATE_HZ * FINE, color=NULL, linewidth=0.7)
    axes.plot(t_s[1:], moved.sum(dim=0).diff(dim=0).norm(dim=-1) * RATE_HZ * FINE, color=FAKE)
    axes.set_xlabel("s")
    axes.set_ylabel("px/s")


def _ratios(axes: Axes, found: torch.Tensor, bound: torch.Tensor, name: str) -> None:
    axes.plot(bound, found, ".", color=FAKE, markersize=3, alpha=0.5)
    low, high = float(bound.nan_to_num(0.0).min()), float(bound.nan_to_num(0.0).max())
    axes.plot([low, high], [low, high], color=NULL)
    axes.set_xlabel(f"bound of {name}, dB")
    axes.set_ylabel(f"{name}, dB")


def _counts(axes: Axes, strokes: StrokeSets) -> None:
    counts = torch.bincount(strokes.count)
    axes.bar(range(len(counts)), counts.tolist(), color=FAKE)
    axes.set_xlabel("strokes")
    axes.set_ylabel("movements")
