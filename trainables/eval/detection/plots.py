"""Plot the reliability of probabilities, detection rates by style, and the ROC-AUC of sessions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from trainables.eval.detection.calibration import Reliability
from trainables.eval.intervals.cluster_bootstrap import Estimate, Proportion
from trainables.eval.plot_style import DPI, FAKE, NULL, REAL

COLOURS = {"seen": NULL, "related": "#e69f00", "unseen": FAKE}  # by the relation of a family to the training
DETECTED = LinearSegmentedColormap.from_list("detected", [FAKE, "white"])  # from TPR 0 to TPR 1
LEGEND = {"seen": "trained on", "related": "trained on a related family", "unseen": "not trained on"}


def plot_reliability(before: Reliability, after: Reliability, file: Path) -> None:
    """Plot observed against predicted probability, bin by bin with Wilson's intervals, before and after calibration."""
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
    for name, table, colour, size in (("uncalibrated", before, FAKE, 9), ("with temperature", after, REAL, 4)):
        _plot_bins(axis, table, f"{name}: ECE {table.ece:.3f}, Brier {table.brier:.3f}", colour, size)
    axis.set_xlabel("probability of a bot, mean of the bin")
    axis.set_ylabel("share of bots in the bin, 95 %")
    axis.set_title(f"{len(after.bins)} bins of equal mass; calibrated, the ECE would be {after.ece_if_calibrated:.3f}")
    axis.legend(frameon=False, loc="upper left")
    figure.savefig(file, dpi=DPI)


def _plot_bins(axis: Axes, table: Reliability, label: str, colour: str, size: float) -> None:
    """Plot one table; markers differ in size, so that neither hides the other where both agree."""
    x, y, low, high = (
        np.array([getattr(row, k) for row in table.bins]) for k in ("predicted", "observed", "low", "high")
    )
    reach = np.stack([y - low, high - y]).clip(min=0.0)
    axis.errorbar(x, y, yerr=reach, color=colour, marker="o", markersize=size, linewidth=1.2, capsize=2, label=label)


def plot_detection_rates(rows: Sequence[tuple[str, str, Proportion]], fpr: float, file: Path) -> None:
    """Plot the TPR of each row with its interval, from top to bottom.

    Args:
        rows: Name, relation of its family to the training (a key of `LEGEND`), and TPR.
    """
    figure = Figure(figsize=(8.0, 1.2 + 0.28 * len(rows)), layout="constrained")
    axis = figure.subplots()
    place = np.arange(len(rows))[::-1]
    for kind, label in LEGEND.items():
        chosen = [(at, tpr) for at, (_, training, tpr) in zip(place, rows, strict=True) if training == kind]
        if chosen:
            at, rates = zip(*chosen, strict=True)
            value = np.array([tpr.value for tpr in rates])
            ends = np.array([[tpr.low for tpr in rates], [tpr.high for tpr in rates]])
            reach = np.abs(ends - value)
            axis.barh(at, value, 0.65, xerr=reach, color=COLOURS[kind], alpha=0.75, capsize=2, label=label)
    axis.set_yticks(place, [name for name, *_ in rows], fontsize=8)
    axis.set_xlim(0, 1.02)
    axis.set_xlabel(f"TPR at {100 * fpr:g} % FPR on validation users")
    axis.margins(y=0.01)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(file, dpi=DPI)


def plot_sessions(curves: Mapping[str, Sequence[tuple[int, Estimate, float]]], file: Path) -> None:
    """Plot the ROC-AUC over the number of fused movements, beside that of independent movements.

    Args:
        curves: Name of the bots -> n, ROC-AUC, and ROC-AUC if movements were independent.
    """
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axis = figure.subplots()
    for (name, points), colour in zip(curves.items(), (REAL, FAKE, NULL), strict=False):
        n = [point[0] for point in points]
        axis.plot(n, [area.value for _, area, _ in points], color=colour, marker="o", label=name)
        ends = ([area.low for _, area, _ in points], [area.high for _, area, _ in points])
        axis.fill_between(n, *ends, color=colour, alpha=0.15, linewidth=0)
        axis.plot(
            n, [independent for *_, independent in points], color=colour, linestyle=":", label=f"{name}, if independent"
        )
    numbers = sorted({n for points in curves.values() for n, *_ in points})
    axis.set_xscale("log")
    axis.set_xticks(numbers, [str(n) for n in numbers])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("movements of a session")
    axis.set_ylabel("ROC-AUC of the session")
    axis.legend(frameon=False, loc="lower right")
    figure.savefig(file, dpi=DPI)


def plot_detection_matrix(
    matrix: Mapping[str, Mapping[str, float]], families: Sequence[str], fpr: float, file: Path
) -> None:
    """Plot the TPR of every detector on every family, paler for higher; the family left out of its training is framed.

    Args:
        matrix: Family left out of a detector's training -> family -> TPR.
        families: All families, those left out first; in this order from the top and from the left.
    """
    left_out = [name for name in families if name in matrix]
    rates = np.array([[matrix[without].get(name, np.nan) for without in left_out] for name in families])
    size = 3.2 + 0.62 * len(left_out), 2.0 + 0.36 * len(families)
    figure = Figure(figsize=size, layout="constrained")
    axis = figure.subplots()
    axis.imshow(rates, DETECTED, vmin=0, vmax=1, aspect="auto")
    for row, column in zip(*np.nonzero(~np.isnan(rates)), strict=True):
        own = families[row] == left_out[column]
        axis.text(
            column,
            row,
            f"{rates[row, column]:.2f}",
            ha="center",
            va="center",
            fontsize=8,
            weight="bold" if own else None,
        )
        if own:
            axis.add_patch(Rectangle((column - 0.47, row - 0.45), 0.94, 0.9, fill=False, linewidth=1.8))
    axis.set_xticks(range(len(left_out)), left_out, rotation=40, ha="right")
    axis.set_yticks(range(len(families)), families)
    axis.set_xlabel("family left out of the training")
    axis.set_ylabel("family of the bots")
    axis.axhline(len(left_out) - 0.5, color="black", linewidth=0.8)
    axis.set_title(f"TPR at {100 * fpr:g} % FPR\nframed: the family left out", fontsize=10)
    figure.savefig(file, dpi=DPI)
