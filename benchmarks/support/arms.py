"""Arms of a study against each other, seed by seed: what detectors catch of families that they never met.

Detectors of one seed begin alike and meet the same people and bots in the same order, so that an arm is compared with
the base in pairs. With S seeds and differences d_s = y_s(arm) - y_s(base), figures are given as

    mean(d) ± t(0.975, S - 1) std(d) / sqrt(S)        Student's 95 % interval

and a figure alone likewise, from its own values. The interval tells how far trainings of other seeds would scatter;
people, bots, generators and hard negatives are the same for all of them, and none of their luck is in it.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t as student

from trainables.core.config import require

COLOURS = ("#999999", "#56b4e9", "#0072b2", "#d55e00", "#009e73", "#cc79a7")  # safe for the colour-blind
DPI = 110


@dataclass(frozen=True)
class Outcome:
    """One detector.

    Attributes:
        caught: Family that it never met -> share of its bots above the threshold.
        accused: Share of people whom it never met above the same threshold.
    """

    arm: str
    seed: int
    caught: Mapping[str, float]
    accused: float

    @property
    def mean(self) -> float:
        """Share caught, families counting alike."""
        return statistics.fmean(self.caught.values())

    @property
    def worst(self) -> float:
        """Share caught of the family of which fewest are."""
        return min(self.caught.values())


Figured = Callable[[Outcome], float]
FIGURES: dict[str, Figured] = {
    "mean over families": lambda outcome: outcome.mean,
    "worst family": lambda outcome: outcome.worst,
}


@dataclass(frozen=True)
class Interval:
    """A mean over seeds, and half the width of its interval."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half:.3f}"

    @classmethod
    def over(cls, values: Sequence[float]) -> "Interval":
        """Student's 95 % interval. Raises ConfigError for fewer than two values, which have none."""
        count = len(values)
        require(count >= 2, "`seeds >= 2`", str(count), "one training says nothing of another")
        half = float(student.ppf(0.975, count - 1)) * statistics.stdev(values) / math.sqrt(count)
        return cls(statistics.fmean(values), half)


def of_arm(outcomes: Sequence[Outcome], arm: str) -> dict[int, Outcome]:
    """Seed -> its outcome, in the order of the seeds."""
    found = sorted((each for each in outcomes if each.arm == arm), key=lambda each: each.seed)
    return {each.seed: each for each in found}


def values(outcomes: Sequence[Outcome], arm: str, figure: Figured) -> list[float]:
    """A figure of an arm, by the order of the seeds."""
    return [figure(each) for each in of_arm(outcomes, arm).values()]


def differences(outcomes: Sequence[Outcome], arm: str, base: str, figure: Figured) -> list[float]:
    """The figure of an arm less that of the base, seed by seed.

    Raises:
        ConfigError: they were not trained with the same seeds.
    """
    mine, theirs = of_arm(outcomes, arm), of_arm(outcomes, base)
    same = list(mine) == list(theirs)
    require(same, f"`seeds of {arm} == seeds of {base}`", f"{[*mine]} and {[*theirs]}", "train the missing ones")
    return [figure(mine[seed]) - figure(theirs[seed]) for seed in mine]


def compared(outcomes: Sequence[Outcome], base: str) -> dict[str, dict[str, Any]]:
    """Arm -> its figures with their intervals, and their differences to the base (none of the base itself)."""
    found: dict[str, dict[str, Any]] = {}
    for arm in arms_of(outcomes):
        found[arm] = {name: Interval.over(values(outcomes, arm, figure)) for name, figure in FIGURES.items()}
        found[arm]["people accused"] = Interval.over(values(outcomes, arm, lambda each: each.accused))
        if arm != base:
            found[arm] |= {
                f"{name} - {base}": Interval.over(differences(outcomes, arm, base, figure))
                for name, figure in FIGURES.items()
            }
    return found


def by_family(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Interval]]:
    """Family -> arm -> the share caught, the family that the first arm catches least on top."""
    arms = arms_of(outcomes)
    found = {
        family: {arm: Interval.over([each.caught[family] for each in of_arm(outcomes, arm).values()]) for arm in arms}
        for family in outcomes[0].caught
    }
    return dict(sorted(found.items(), key=lambda row: row[1][arms[0]].mean))


def arms_of(outcomes: Sequence[Outcome]) -> list[str]:
    """In the order of their first outcomes."""
    return [*dict.fromkeys(each.arm for each in outcomes)]


def tables(outcomes: Sequence[Outcome], base: str) -> str:
    """One row per arm, and below one row per family, as Markdown."""
    rows = compared(outcomes, base)
    columns = [*dict.fromkeys(name for row in rows.values() for name in row if name != "people accused")]
    columns.append("people accused")
    arms = [[arm, *(str(row.get(name, "")) for name in columns)] for arm, row in rows.items()]
    families = [
        [family.replace("_", " "), *(str(found[arm]) for arm in rows)] for family, found in by_family(outcomes).items()
    ]
    return f"{_markdown(['trained on', *columns], arms)}\n\n{_markdown(['share caught of', *rows], families)}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(outcomes: Sequence[Outcome], fpr: float, file: Path) -> None:
    """A dot per seed and a bar at the mean, arm by arm: of both figures, then of each family, least caught on top."""
    arms, families = arms_of(outcomes), [*by_family(outcomes)]
    rows: dict[str, Figured] = {**FIGURES, **{f.replace("_", " "): _caught_of(f) for f in families}}
    figure = Figure(figsize=(8.5, 1.4 + 0.1 * len(rows) * (len(arms) + 1)), layout="constrained")
    axis = figure.subplots()
    step = 0.8 / len(arms)
    for at, (arm, colour) in enumerate(zip(arms, COLOURS, strict=False)):
        for place, drawn in enumerate(rows.values()):
            height = place + (at - (len(arms) - 1) / 2) * step
            _dots(axis, values(outcomes, arm, drawn), height, step, colour)
        axis.plot([], [], color=colour, marker="o", markersize=4, label=arm)
    axis.set_yticks(range(len(rows)), list(rows), fontsize=8)
    axis.axhline(len(FIGURES) - 0.5, color="black", linewidth=0.8)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlim(-0.01, 1.01)
    axis.set_xlabel(f"share caught where {100 * fpr:g} % of validation people are accused; a dot per seed")
    figure.legend(loc="outside upper center", ncols=len(arms), frameon=False, fontsize=8)
    figure.savefig(file, dpi=DPI)


def _caught_of(family: str) -> Figured:
    return lambda outcome: outcome.caught[family]


def _dots(axis: Axes, found: Sequence[float], height: float, step: float, colour: str) -> None:
    axis.plot(found, [height] * len(found), linestyle="", marker="o", markersize=3, color=colour, alpha=0.6)
    mean = statistics.fmean(found)
    axis.plot([mean, mean], [height - 0.4 * step, height + 0.4 * step], color=colour, linewidth=2)
