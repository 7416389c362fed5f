"""How often the promotion's rule is right, and an interval over people too: simulated judgements of known truth.

A judgement's figures are means over rows (a movement; its mean over the draws of noise), and the rows of a person are
alike. Both sides are drawn as

    row = truth + person + own,   person, own normal, each of them in part common to both sides,

over groups as large as those of the default data; the rest is the project's own: the jackknife over groups, the
intervals, the rule with its defaults. Decisions: a challenger equal to the champion, or better in C2ST alone; the five
figures are drawn apart from each other. Coverage: how many 95 % intervals of a mean over the validation split hold its
truth. `sd` is the standard deviation of the difference in C2ST, over all decisions of a line.

`SPREADS` come from five checkpoints of a default sweep (C2ST from 0.54 to 0.80), with three draws of noise each, on the
validation and the test split: variance of a row and the share of it that is the person's, by a one-way analysis of
variance, and what is common by that of the differences between checkpoints. MMD, which is no mean over rows, is given
what reproduces its jackknifed standard errors. The jackknife then finds standard errors of the difference in C2ST of
0.018 and 0.019 on the two splits (medians); between those checkpoints it found 0.013 and 0.020.

`python -m benchmarks.decisions --decisions 1000 --output decisions.json`
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from platform.promotion.latency import Latency
from platform.promotion.rule import Decision, Rule, decide
from trainables.eval.intervals.jackknife import JackknifeEstimate, interval, jackknife
from trainables.model_evaluation.result import EvaluationResult
from trainables.training import metric_names as names

SIZES = {  # rows of each group, from `load_splits(DataConfig())`; a promotion asks the holdout split
    "validation": (203, 46, 30, 28, 12, 5, 5, 4, 1),
    "test": (134, 86, 20, 8, 6, 4, 2),
    "holdout": (182, 74, 42, 19, 4, 3, 3, 1),
}
DECIDED_ON = ("holdout", "test")
COVERED_ON = "validation"
GAINS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.1)  # of C2ST
CORRELATIONS = (0.0, 0.05, 0.1)  # of the rows of a person
COMMON_PERSON = 0.8  # share of a person's effect, as variance, that is the same on both sides
SAME_SPEED = Latency((10.0,) * 11, (10.0,) * 11)


@dataclass(frozen=True)
class Spread:
    """Where a figure stands, and how its rows scatter on one side.

    Attributes:
        truth: Of the champion.
        sd: Standard deviation of a row.
        person: Share of a row's variance that is the person's.
        common: Share of the rest that is the same on both sides.
    """

    truth: float
    sd: float
    person: float
    common: float


SPREADS = {
    names.VAL_C2ST: Spread(0.60, 0.235, person=0.035, common=0.44),
    names.VAL_MMD: Spread(0.01, 0.045, person=0.05, common=0.8),
    names.VAL_PRECISION: Spread(0.85, 0.26, person=0.005, common=0.23),
    names.VAL_RECALL: Spread(0.82, 0.285, person=0.065, common=0.47),
    names.VAL_MEMORISED_SHARE: Spread(0.015, 0.08, person=0.01, common=0.16),
}


@dataclass(frozen=True)
class Rate:
    """A share of simulated cases, with its Monte-Carlo standard error."""

    share: float
    se: float
    cases: int

    def __str__(self) -> str:
        return f"{100 * self.share:.1f} ± {100 * self.se:.1f}"


@dataclass(frozen=True)
class Decisions:
    """What the rule made of challengers that are better in C2ST by `gain`, and the same in everything else.

    Attributes:
        sd: Of the difference in C2ST over the decisions.
        held: By figure, where its own comparison with the champion held: C2ST lower, the others inside their margins.
        promoted: Where all of them held, and the limits.
    """

    split: str
    gain: float
    sd: float
    held: dict[str, Rate]
    promoted: Rate


@dataclass(frozen=True)
class Coverage:
    """How often the 95 % interval of a mean holds its truth, where the rows of a person correlate."""

    split: str
    correlation: float
    held: Rate


Rows = npt.NDArray[np.float64]


def both_sides(rng: np.random.Generator, count: int, common: float) -> Rows:
    """Standard normal numbers [2, count] that correlate by `common` between the sides."""
    shared, own = rng.standard_normal(count), rng.standard_normal((2, count))
    return math.sqrt(common) * shared + math.sqrt(1 - common) * own


def draw(rng: np.random.Generator, spread: Spread, sizes: Sequence[int]) -> Rows:
    """Rows [2, N] of both sides of one figure, of the same truth; those of a group stand together."""
    people = np.repeat(both_sides(rng, len(sizes), COMMON_PERSON), sizes, axis=1)
    own = both_sides(rng, sum(sizes), spread.common)
    return spread.truth + spread.sd * (math.sqrt(spread.person) * people + math.sqrt(1 - spread.person) * own)


def clustered(rows: Rows, sizes: Sequence[int]) -> JackknifeEstimate:
    """The mean of rows, and without those of each group."""
    groups = groups_of(sizes)
    return jackknife(lambda kept: float(rows[kept].mean()), np.repeat(groups, sizes).tolist(), groups)


def groups_of(sizes: Sequence[int]) -> tuple[str, ...]:
    """Names of so many groups."""
    return tuple(f"person {number}" for number in range(len(sizes)))


def decision(rng: np.random.Generator, gain: float, split: str) -> Decision:
    """One decision about a challenger whose C2ST is lower by `gain` in truth, and everything else the same."""
    sizes = SIZES[split]
    challenger, champion = dict[str, JackknifeEstimate](), dict[str, JackknifeEstimate]()
    for name, spread in SPREADS.items():
        mine, theirs = draw(rng, spread, sizes)
        challenger[name] = clustered(mine - (gain if name == names.VAL_C2ST else 0.0), sizes)
        champion[name] = clustered(theirs, sizes)
    sides = [judgement(figures, split) for figures in (challenger, champion)]
    return decide(sides[0], sides[1], SAME_SPEED, Rule())


def judgement(figures: dict[str, JackknifeEstimate], split: str) -> EvaluationResult:
    """A judgement with these figures."""
    sizes, by_seed = SIZES[split], {name: (figure.value,) for name, figure in figures.items()}
    return EvaluationResult(
        "0" * 64, "diffusion", split, "0" * 64, (0,), groups_of(sizes), sum(sizes), figures, by_seed
    )


def held(decision: Decision, name: str) -> bool:
    """Whether a figure's bound of the difference to the champion is where it must be."""
    return all(check.held for check in decision.checks if check.figure == name and check.law.startswith("upper"))


def decided(split: str, gain: float, count: int) -> Decisions:
    """So many decisions of one kind."""
    rng = np.random.default_rng([DECIDED_ON.index(split), GAINS.index(gain)])
    found = [decision(rng, gain, split) for _ in range(count)]
    differences = [apart.value for each in found if (apart := each.figures[names.VAL_C2ST].difference) is not None]
    figures = {name: rate([held(each, name) for each in found]) for name in SPREADS}
    return Decisions(split, gain, statistics.stdev(differences), figures, rate([each.promoted for each in found]))


def covered(split: str, correlation: float, count: int) -> Coverage:
    """So many intervals of a mean whose truth is 0."""
    rng, spread = np.random.default_rng(CORRELATIONS.index(correlation)), Spread(0.0, 1.0, correlation, common=0.0)
    intervals = [interval(clustered(draw(rng, spread, SIZES[split])[0], SIZES[split])) for _ in range(count)]
    return Coverage(split, correlation, rate([each.low <= 0.0 <= each.high for each in intervals]))


def rate(found: Sequence[bool]) -> Rate:
    """The share of cases in which it is so."""
    share = sum(found) / len(found)
    return Rate(share, math.sqrt(share * (1 - share) / len(found)), len(found))


def row(line: Decisions) -> str:
    """One line of the table of decisions."""
    rates = (*line.held.values(), line.promoted)
    return f"{line.split:<9}{line.gain:>9g}{line.sd:>8.4f}" + "".join(f"{each!s:>16}" for each in rates)


def main(argv: list[str] | None = None) -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--decisions", type=int, default=1000, help="of each line")
    parser.add_argument("--intervals", type=int, default=10_000, help="of each line")
    parser.add_argument("--output", type=Path, help="also write the measurements as JSON here")
    given = parser.parse_args(argv)
    columns = [*(name.removeprefix("val/") for name in SPREADS), "promoted"]
    print("% of decisions in which each figure's comparison held\n")
    print(f"{'split':<9}{'better by':>9}{'sd':>8}" + "".join(f"{name:>16}" for name in columns))
    decisions = []
    for split, gain in product(DECIDED_ON, GAINS):
        decisions.append(decided(split, gain, given.decisions))
        print(row(decisions[-1]), flush=True)
    print("\n% of 95 % intervals that hold the truth\n")
    print(f"{'split':<12}{'correlation':>12}{'held':>16}")
    coverage = [covered(COVERED_ON, correlation, given.intervals) for correlation in CORRELATIONS]
    for each in coverage:
        print(f"{each.split:<12}{each.correlation:>12g}{each.held!s:>16}")
    if given.output:
        found = {"decisions": [*map(asdict, decisions)], "coverage": [*map(asdict, coverage)]}
        given.output.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
