"""Comparison of the arms of a study, paired by seed: TPR of detectors on unseen families, and FPR on test users.

Detectors of one seed start from the same weights and see the same users and bots in the same order, so an arm is
compared with the base in pairs. With S seeds and differences d_s = y_s(arm) - y_s(base), the result is

    mean(d) ± t(0.975, S - 1) std(d) / sqrt(S)        Student's 95 % interval

and for a metric of one arm the same, from its own values. The interval covers the variation over training seeds; users,
bots, generators and hard negatives are the same for all seeds, and their sampling error is not in it.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.support.intervals import Interval
from trainables.core.config import require

COLOURS = ("#999999", "#56b4e9", "#0072b2", "#d55e00", "#009e73", "#cc79a7")  # safe for the colour-blind
DPI = 110
TEST_FPR = "FPR on test users"


@dataclass(frozen=True)
class Outcome:
    """Evaluation of one detector.

    Attributes:
        tpr: Unseen family -> share of its bots above the threshold.
        fpr: Share of test users' movements above the same threshold.
    """

    arm: str
    seed: int
    tpr: Mapping[str, float]
    fpr: float

    @property
    def mean(self) -> float:
        """Mean TPR over the families, unweighted."""
        return statistics.fmean(self.tpr.values())

    @property
    def worst(self) -> float:
        """TPR of the worst family."""
        return min(self.tpr.values())


Metric = Callable[[Outcome], float]
METRICS: dict[str, Metric] = {
    "mean TPR": lambda outcome: outcome.mean,
    "worst family TPR": lambda outcome: outcome.worst,
}


def of_arm(outcomes: Sequence[Outcome], arm: str) -> dict[int, Outcome]:
    """Return the outcomes of an arm by seed, in the order of the seeds."""
    found = sorted((each for each in outcomes if each.arm == arm), key=lambda each: each.seed)
    return {each.seed: each for each in found}


def values(outcomes: Sequence[Outcome], arm: str, metric: Metric) -> list[float]:
    """Return a metric of an arm for each seed, in the order of the seeds."""
    return [metric(each) for each in of_arm(outcomes, arm).values()]


def differences(outcomes: Sequence[Outcome], arm: str, base: str, metric: Metric) -> list[float]:
    """Return the metric of an arm less that of the base, seed by seed.

    Raises:
        ConfigError: they were not trained with the same seeds.
    """
    mine, theirs = of_arm(outcomes, arm), of_arm(outcomes, base)
    same = list(mine) == list(theirs)
    require(same, f"`seeds of {arm} == seeds of {base}`", f"{[*mine]} and {[*theirs]}", "train the missing ones")
    return [metric(mine[seed]) - metric(theirs[seed]) for seed in mine]


def comparison(outcomes: Sequence[Outcome], base: str) -> dict[str, dict[str, Any]]:
    """Return, for each arm, its metrics with intervals, and except for the base their differences to the base."""
    found: dict[str, dict[str, Any]] = {}
    for arm in arms_of(outcomes):
        found[arm] = {name: Interval.over(values(outcomes, arm, metric)) for name, metric in METRICS.items()}
        found[arm][TEST_FPR] = Interval.over(values(outcomes, arm, lambda each: each.fpr))
        if arm != base:
            found[arm] |= {
                f"{name} - {base}": Interval.over(differences(outcomes, arm, base, metric))
                for name, metric in METRICS.items()
            }
    return found


def by_family(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Interval]]:
    """Return family -> arm -> TPR, sorted by the TPR of the first arm, the lowest first."""
    arms = arms_of(outcomes)
    found = {
        family: {arm: Interval.over([each.tpr[family] for each in of_arm(outcomes, arm).values()]) for arm in arms}
        for family in outcomes[0].tpr
    }
    return dict(sorted(found.items(), key=lambda row: row[1][arms[0]].mean))


def arms_of(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the arms in the order of their first outcomes."""
    return [*dict.fromkeys(each.arm for each in outcomes)]


def tables(outcomes: Sequence[Outcome], base: str) -> str:
    """Return two Markdown tables: one row per arm, and one row per family."""
    rows = comparison(outcomes, base)
    columns = [*dict.fromkeys(name for row in rows.values() for name in row if name != TEST_FPR)]
    columns.append(TEST_FPR)
    arms = [[arm, *(str(row.get(name, "")) for name in columns)] for arm, row in rows.items()]
    families = [
        [family.replace("_", " "), *(str(found[arm]) for arm in rows)] for family, found in by_family(outcomes).items()
    ]
    return f"{_markdown(['trained on', *columns], arms)}\n\n{_markdown(['TPR of family', *rows], families)}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(outcomes: Sequence[Outcome], fpr: float, file: Path) -> None:
    """Plot, arm by arm, a dot per seed and a bar at the mean: for both metrics, then for each family, lowest first."""
    arms, families = arms_of(outcomes), [*by_family(outcomes)]
    rows: dict[str, Metric] = {**METRICS, **{f.replace("_", " "): _tpr_of(f) for f in families}}
    figure = Figure(figsize=(8.5, 1.4 + 0.1 * len(rows) * (len(arms) + 1)), layout="constrained")
    axis = figure.subplots()
    step = 0.8 / len(arms)
    for at, (arm, colour) in enumerate(zip(arms, COLOURS, strict=False)):
        for place, metric in enumerate(rows.values()):
            height = place + (at - (len(arms) - 1) / 2) * step
            _dots(axis, values(outcomes, arm, metric), height, step, colour)
        axis.plot([], [], color=colour, marker="o", markersize=4, label=arm)
    axis.set_yticks(range(len(rows)), list(rows), fontsize=8)
    axis.axhline(len(METRICS) - 0.5, color="black", linewidth=0.8)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlim(-0.01, 1.01)
    axis.set_xlabel(f"TPR at {100 * fpr:g} % FPR on validation users: a dot per seed, a bar at the mean")
    figure.legend(loc="outside upper center", ncols=len(arms), frameon=False, fontsize=8)
    figure.savefig(file, dpi=DPI)


def _tpr_of(family: str) -> Metric:
    return lambda outcome: outcome.tpr[family]


def _dots(axis: Axes, found: Sequence[float], height: float, step: float, colour: str) -> None:
    axis.plot(found, [height] * len(found), linestyle="", marker="o", markersize=3, color=colour, alpha=0.6)
    mean = statistics.fmean(found)
    axis.plot([mean, mean], [height - 0.4 * step, height + 0.4 * step], color=colour, linewidth=2)
