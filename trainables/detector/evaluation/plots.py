"""A picture of what a detector says: bots caught by family, the curves of the unseen ones, and the scores.

Colours are safe for the colour-blind and say the same in all three panels: blue is people, vermilion the family never
trained on of which most bots are missed, the lighter one the others never trained on, grey what was trained on.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from trainables.eval.detection.roc import curve, threshold_at_fpr
from trainables.eval.intervals.jackknife import Interval
from trainables.training.metric_names import family_fnr

PEOPLE, WORST, UNSEEN, SEEN = "#0072b2", "#d55e00", "#e69f00", "#999999"
REACH = 12.0  # log odds beyond which scores are counted at the edge: 6 in a million
DPI = 110

Scores = Mapping[str, Float[Tensor, "_"]]


def overview(
    people: Float[Tensor, "N"],
    bots: Scores,
    unseen: Collection[str],
    fpr: float,
    intervals: Mapping[str, Interval],
    file: Path,
) -> None:
    """Three panels in one picture.

    Args:
        people, bots: Calibrated log odds of a bot; of bots by family.
        unseen: Families never trained on.
        fpr: Share of the people who may be accused.
        intervals: Shares missed of families that were judged again, by `names.family_fnr`.
    """
    threshold = threshold_at_fpr(people, fpr).value
    caught = {family: (scores > threshold).double().mean().item() for family, scores in bots.items()}
    order = sorted(bots, key=lambda family: (family not in unseen, caught[family]))
    colours = {family: _colour(family, order[0], unseen) for family in order}
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    bars, rates, odds = figure.subplots(1, 3, width_ratios=[1.15, 1, 1.25])
    _bars(bars, {family: caught[family] for family in order}, colours, intervals, fpr)
    _rates(rates, people, {family: bots[family] for family in order if family in unseen}, colours, fpr)
    _odds(odds, people, _joined(bots, order, colours), threshold)
    figure.savefig(file, dpi=DPI)


def _colour(family: str, worst: str, unseen: Collection[str]) -> str:
    if family not in unseen:
        return SEEN
    return WORST if family == worst else UNSEEN


def _bars(
    axis: Axes, caught: Mapping[str, float], colours: Mapping[str, str], intervals: Mapping[str, Interval], fpr: float
) -> None:
    """A bar per family, the worst on top; where it was judged again, that figure with its interval as a point."""
    families = list(caught)
    axis.barh(range(len(families)), list(caught.values()), color=[colours[family] for family in families], alpha=0.75)
    axis.set_yticks(range(len(families)), [f"{family.replace('_', ' ')}  {caught[family]:.2f}" for family in families])
    for place, family in enumerate(families):
        missed = intervals.get(family_fnr(family))
        if missed is not None:
            ends = np.clip([1 - missed.high, 1 - missed.low], 0, 1)
            value = 1 - missed.value
            error = [[max(value - ends[0], 0)], [max(ends[1] - value, 0)]]
            axis.errorbar(value, place, xerr=error, color="black", marker="o", markersize=3, capsize=3, linewidth=1)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.02)
    axis.set_xlabel(f"share caught at {100 * fpr:g} % of people accused")
    axis.set_title("points: fresh bots, 95 % over people" if intervals else "bots caught by family", fontsize=10)


def _rates(axis: Axes, people: Float[Tensor, "N"], bots: Scores, colours: Mapping[str, str], fpr: float) -> None:
    """The ROC curve of each family never trained on; its foot is one person of N."""
    for family, scores in bots.items():
        both, name = torch.cat([people, scores]), family.replace("_", " ")
        is_bot = torch.arange(len(both)) >= len(people)
        rates = curve(both, is_bot, torch.ones(1, len(both), dtype=torch.float64))
        axis.step(rates.fpr[0], rates.tpr[0], where="post", color=colours[family], linewidth=1.6, label=name)
    axis.axvline(fpr, color="black", linewidth=0.8, linestyle=":")
    axis.set_xscale("symlog", linthresh=1 / len(people), linscale=0.3)
    axis.set_xlim(0, 1)
    axis.set_xticks([0, 0.01, 0.1, 1], ["0", "1 %", "10 %", "100 %"])
    axis.set_xticks([], minor=True)
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("share of people accused")
    axis.set_ylabel("share of bots caught")
    axis.set_title("families never trained on", fontsize=10)
    if bots:
        axis.legend(frameon=False, loc="lower right")


def _joined(bots: Scores, order: list[str], colours: Mapping[str, str]) -> dict[str, tuple[Tensor, str]]:
    """What the histograms tell apart: the worst unseen family, all other unseen ones, those that were trained on."""
    titles = {WORST: order[0], UNSEEN: "other bots never trained on", SEEN: "bots trained on"}
    found = {colour: [bots[family] for family in order if colours[family] == colour] for colour in titles}
    return {titles[colour]: (torch.cat(scores), colour) for colour, scores in found.items() if scores}


def _odds(axis: Axes, people: Float[Tensor, "N"], bots: Mapping[str, tuple[Tensor, str]], threshold: float) -> None:
    """Histograms of log odds, each of area one."""
    farthest = max(scores.abs().max().item() for scores in (people, *(scores for scores, _ in bots.values())))
    reach = min(REACH, farthest + 0.5)
    bins = np.linspace(-reach, reach, 49).tolist()
    for name, (scores, colour) in {"people": (people, PEOPLE), **bots}.items():
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
