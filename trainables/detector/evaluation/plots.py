"""Plot the scores of a detector: TPR by family, ROC curves of the unseen families, and histograms of the log odds.

Colours are safe for the colour-blind and have the same meaning in all three panels: blue is users, vermilion the unseen
family with the lowest TPR, the lighter one the other unseen families, grey the seen ones.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.intervals.jackknife import Interval
from trainables.eval.roc_curve import curve
from trainables.training.metric_names import family_fnr

HUMAN, WORST, UNSEEN, SEEN = "#0072b2", "#d55e00", "#e69f00", "#999999"
REACH = 12.0  # log odds at which scores are clipped: a probability of 6 in a million
DPI = 110

Scores = Mapping[str, Float[Tensor, "_"]]


def plot_overview(
    human: Float[Tensor, "N"],
    bots: Scores,
    unseen: Collection[str],
    fpr: float,
    intervals: Mapping[str, Interval],
    file: Path,
) -> None:
    """Plot the three panels into one file.

    Args:
        human, bots: Calibrated log odds of a bot; of bots by family.
        unseen: Families that were left out of the training.
        fpr: Target FPR of the threshold.
        intervals: Intervals of the re-evaluated FNR by family, by `names.family_fnr`.
    """
    threshold = threshold_at_fpr(human, fpr).value
    tpr = {family: (scores > threshold).double().mean().item() for family, scores in bots.items()}
    order = sorted(bots, key=lambda family: (family not in unseen, tpr[family]))
    colours = {family: _colour(family, order[0], unseen) for family in order}
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    bars, rates, odds = figure.subplots(1, 3, width_ratios=[1.15, 1, 1.25])
    _plot_bars(bars, {family: tpr[family] for family in order}, colours, intervals, fpr)
    _plot_roc(rates, human, {family: bots[family] for family in order if family in unseen}, colours, fpr)
    _plot_log_odds(odds, human, _joined(bots, order, colours), threshold)
    figure.savefig(file, dpi=DPI)


def _colour(family: str, worst: str, unseen: Collection[str]) -> str:
    if family not in unseen:
        return SEEN
    return WORST if family == worst else UNSEEN


def _plot_bars(
    axis: Axes, tpr: Mapping[str, float], colours: Mapping[str, str], intervals: Mapping[str, Interval], fpr: float
) -> None:
    """Plot a bar per family, the worst on top, and a point with its interval for a re-evaluated TPR."""
    families = list(tpr)
    axis.barh(range(len(families)), list(tpr.values()), color=[colours[family] for family in families], alpha=0.75)
    axis.set_yticks(range(len(families)), [f"{family.replace('_', ' ')}  {tpr[family]:.2f}" for family in families])
    for place, family in enumerate(families):
        fnr = intervals.get(family_fnr(family))
        if fnr is not None:
            ends = np.clip([1 - fnr.high, 1 - fnr.low], 0, 1)
            value = 1 - fnr.value
            error = [[max(value - ends[0], 0)], [max(ends[1] - value, 0)]]
            axis.errorbar(value, place, xerr=error, color="black", marker="o", markersize=3, capsize=3, linewidth=1)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.02)
    axis.set_xlabel(f"TPR at {100 * fpr:g} % FPR")
    axis.set_title("points: new bots, 95 % intervals over users" if intervals else "TPR by family", fontsize=10)


def _plot_roc(axis: Axes, human: Float[Tensor, "N"], bots: Scores, colours: Mapping[str, str], fpr: float) -> None:
    """Plot the ROC curve of each unseen family; the linear part of the axis ends at one movement of N."""
    for family, scores in bots.items():
        both, name = torch.cat([human, scores]), family.replace("_", " ")
        is_bot = torch.arange(len(both)) >= len(human)
        rates = curve(both, is_bot, torch.ones(1, len(both), dtype=torch.float64))
        axis.step(rates.fpr[0], rates.tpr[0], where="post", color=colours[family], linewidth=1.6, label=name)
    axis.axvline(fpr, color="black", linewidth=0.8, linestyle=":")
    axis.set_xscale("symlog", linthresh=1 / len(human), linscale=0.3)
    axis.set_xlim(0, 1)
    axis.set_xticks([0, 0.01, 0.1, 1], ["0", "1 %", "10 %", "100 %"])
    axis.set_xticks([], minor=True)
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("FPR")
    axis.set_ylabel("TPR")
    axis.set_title("unseen families", fontsize=10)
    if bots:
        axis.legend(frameon=False, loc="lower right")


def _joined(bots: Scores, order: list[str], colours: Mapping[str, str]) -> dict[str, tuple[Tensor, str]]:
    """Return the scores of each histogram: the worst unseen family, the other unseen ones, the seen ones."""
    titles = {WORST: order[0], UNSEEN: "other unseen families", SEEN: "seen families"}
    by_colour = {colour: [bots[family] for family in order if colours[family] == colour] for colour in titles}
    return {titles[colour]: (torch.cat(scores), colour) for colour, scores in by_colour.items() if scores}


def _plot_log_odds(
    axis: Axes, human: Float[Tensor, "N"], bots: Mapping[str, tuple[Tensor, str]], threshold: float
) -> None:
    """Plot histograms of the log odds, each of area one."""
    farthest = max(scores.abs().max().item() for scores in (human, *(scores for scores, _ in bots.values())))
    reach = min(REACH, farthest + 0.5)
    bins = np.linspace(-reach, reach, 49).tolist()
    for name, (scores, colour) in {"users": (human, HUMAN), **bots}.items():
        values = scores.clamp(-reach, reach).numpy()
        axis.hist(values, bins, density=True, histtype="stepfilled", alpha=0.25, color=colour)
        axis.hist(values, bins, density=True, histtype="step", linewidth=1.2, color=colour, label=name)
    axis.axvline(min(max(threshold, -reach), reach), color="black", linewidth=0.8, linestyle=":", label="threshold")
    axis.set_xlim(-reach, reach)
    axis.set_ylim(0, 1.4 * axis.get_ylim()[1])  # room for the legend
    axis.set_yticks([])
    axis.set_xlabel("log odds of a bot")
    axis.set_title("scores", fontsize=10)
    axis.legend(frameon=False, loc="upper left", fontsize=8)
