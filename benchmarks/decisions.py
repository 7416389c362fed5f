"""Error rates of the promotion rule, and coverage of the intervals over users, in simulated evaluations of known truth.

The metrics of an evaluation are means over rows (a movement, averaged over the evaluation seeds), and the rows of a
user correlate; the noise of each draw adds what the rows do not show. Rows of champion and challenger are sampled as

    row = truth + user + own,   user, own normal, each of them partly common to both sides,
    metric of draw k = mean over rows + e_k,   e_k normal, `DRAW_SD`, of either side for itself,

over users with as many rows as those of the default data, which are capped (`data.rows_per_user`); the rest is the
project's own code: the jackknife over users with the variance over draws, the intervals, the rule with its defaults, as
for the first decision against a champion. Decisions: a challenger equal to the champion, or better in the excess of the
AUC only, by the same for every user or by gains that differ between users (normal, their standard deviation the mean
gain); the five metrics are sampled independently. Coverage: the share of 95 % intervals of a mean over the validation
split that contain the truth. `sd` is the standard deviation of the difference in the excess over all decisions of a
line.

`--measure CHECKPOINT CHECKPOINT ...` measures what `SPREADS` holds: the standard deviation of a row by which the
simulated standard error of a metric equals its jackknife over the users of a split (the median over the checkpoints),
and the common share of a row by which that of a difference equals the jackknife of the differences between checkpoints
(the median over the pairs). The excess and the MMD are no means over rows; these rows reproduce their standard errors.
The excess is measured so on the four checkpoints of a default sweep, whose excesses are 0.11 to 0.37, with three seeds
each: 0.69 and 0.86 on the validation split, 0.47 and 0.75 on the test split, and the means of both are taken. The other
metrics have the spreads of five checkpoints of version 0.2, which lay nearer to each other, as a challenger does to a
champion. The share of a row's variance between users is that of a one-way analysis of variance there.

`python -m benchmarks.decisions --decisions 1000 --output decisions.json`
`python -m benchmarks.decisions --measure CHECKPOINT CHECKPOINT CHECKPOINT`
"""

import argparse
import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from platform.promotion.config import ENOUGH_DRAWS
from platform.promotion.latency import Latency
from platform.promotion.rule import Decision, Rule, decide
from trainables.data.config import UNSEEN_USERS, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.eval.intervals.jackknife import JackknifeEstimate, difference, interval, mean
from trainables.model_evaluation.reevaluate import evaluate
from trainables.model_evaluation.result import EvaluationResult
from trainables.training import metric_names as names

SIZES = {  # rows of each user, from `load_splits(DataConfig())`
    "validation": (*(12,) * 8, 11, 11, 8, 6, 5, 5, 5, 5, 2, 2, 2, 1),
    "test": (12, 12, 12, 9, 6, 6, 3, 3, 3, 1, 1),
    "holdout": (12, 12, 12, 12, 12, 11, 9, 5, 4),
}
SIZES[UNSEEN_USERS] = SIZES["test"] + SIZES["holdout"]  # a promotion is decided on both
DECIDED_ON = (UNSEEN_USERS, "holdout")
COVERED_ON = "validation"
MEASURED_ON = ("validation", "test")
GAINS = (0.0, 0.02, 0.05, 0.1)  # of the excess of the AUC, means over users
DIFFERING = (0.0, 1.0)  # standard deviation of the users' gains over their mean
CORRELATIONS = (0.0, 0.05, 0.1)  # between the rows of a user
COMMON_USER = 0.8  # share of a user's effect, as variance, that is the same on both sides
SAME_SPEED = Latency((10.0,) * 11, (10.0,) * 11)


@dataclass(frozen=True)
class Spread:
    """Mean of a metric, and the distribution of its rows on one side.

    Attributes:
        truth: True value of the champion.
        sd: Standard deviation of a row.
        user: Share of a row's variance that is between users.
        common: Share of the rest that is the same on both sides.
    """

    truth: float
    sd: float
    user: float
    common: float


SPREADS = {
    names.VAL_AUC_EXCESS: Spread(0.10, 0.58, user=0.035, common=0.80),
    names.VAL_MMD: Spread(0.01, 0.045, user=0.05, common=0.8),
    names.VAL_PRECISION: Spread(0.85, 0.26, user=0.005, common=0.23),
    names.VAL_RECALL: Spread(0.82, 0.285, user=0.065, common=0.47),
    names.VAL_MEMORISED_SHARE: Spread(0.015, 0.08, user=0.01, common=0.16),
}


DRAW_SD = {  # of one draw, over 11 draws of a diffusion of 200 steps on 157 movements of 20 users, test and holdout
    names.VAL_AUC_EXCESS: 0.029,
    names.VAL_MMD: 0.007,
    names.VAL_PRECISION: 0.028,
    names.VAL_RECALL: 0.042,
    names.VAL_MEMORISED_SHARE: 0.016,
}


@dataclass(frozen=True)
class Rate:
    """Share of simulated cases, with its Monte-Carlo standard error."""

    share: float
    se: float
    cases: int

    def __str__(self) -> str:
        return f"{100 * self.share:.1f} ± {100 * self.se:.1f}"


@dataclass(frozen=True)
class Decisions:
    """Outcomes of the rule for challengers whose excess is lower by `gain`, and that are equal in everything else.

    Attributes:
        users: Number of users that the decision rests on.
        differing: Standard deviation of the users' gains over their mean.
        sd: Standard deviation of the difference in the excess over the decisions.
        passed: By metric, the share that passes its comparison with the champion: excess lower, others within margins.
        promoted: Share that passes all comparisons and the limits.
    """

    split: str
    users: int
    gain: float
    differing: float
    sd: float
    passed: dict[str, Rate]
    promoted: Rate


@dataclass(frozen=True)
class Coverage:
    """Share of 95 % intervals of a mean that contain the truth, where the rows of a user correlate."""

    split: str
    correlation: float
    covered: Rate


Rows = npt.NDArray[np.float64]


def both_sides(rng: np.random.Generator, count: int, common: float) -> Rows:
    """Return standard normal numbers [2, count] with correlation `common` between the sides."""
    shared, own = rng.standard_normal(count), rng.standard_normal((2, count))
    return math.sqrt(common) * shared + math.sqrt(1 - common) * own


def sample_rows(rng: np.random.Generator, spread: Spread, sizes: Sequence[int]) -> Rows:
    """Sample rows [2, N] of both sides of one metric with the same truth; those of a user are contiguous."""
    users = np.repeat(both_sides(rng, len(sizes), COMMON_USER), sizes, axis=1)
    own = both_sides(rng, sum(sizes), spread.common)
    return spread.truth + spread.sd * (math.sqrt(spread.user) * users + math.sqrt(1 - spread.user) * own)


def clustered(rows: Rows, sizes: Sequence[int]) -> JackknifeEstimate:
    """Return the jackknife estimate of the mean over rows, which leaves out one user at a time."""
    firsts = np.cumsum([0, *sizes[:-1]])
    totals, counts = np.add.reduceat(rows, firsts), np.array(sizes)
    without = (totals.sum() - totals) / (counts.sum() - counts)
    return JackknifeEstimate(float(rows.mean()), tuple(without.tolist()))


def drawn(rng: np.random.Generator, estimate: JackknifeEstimate, sd: float) -> JackknifeEstimate:
    """Return the mean of an estimate over `ENOUGH_DRAWS` draws, each of which differs from it by noise of its own."""
    noise = rng.normal(0.0, sd, ENOUGH_DRAWS)
    shifted = [
        JackknifeEstimate(estimate.value + e, tuple(one + e for one in estimate.without)) for e in noise.tolist()
    ]
    return mean(shifted)


def users_of(sizes: Sequence[int]) -> tuple[str, ...]:
    """Return names of as many users."""
    return tuple(f"user {number}" for number in range(len(sizes)))


def decision(rng: np.random.Generator, gain: float, differing: float, split: str) -> Decision:
    """Simulate one decision about a challenger whose true excess is lower by `gain`, with all else equal.

    Args:
        differing: Standard deviation of the users' gains over `gain`.
    """
    sizes = SIZES[split]
    challenger, champion = dict[str, JackknifeEstimate](), dict[str, JackknifeEstimate]()
    gains = np.repeat(rng.normal(gain, differing * gain, len(sizes)), sizes)
    for name, spread in SPREADS.items():
        mine, theirs = sample_rows(rng, spread, sizes)
        better = mine - gains if name == names.VAL_AUC_EXCESS else mine
        for side, rows in ((challenger, better), (champion, theirs)):
            side[name] = drawn(rng, clustered(rows, sizes), DRAW_SD[name])
    sides = [evaluation(metrics, split) for metrics in (challenger, champion)]
    return decide(sides[0], sides[1], SAME_SPEED, Rule())


def measured(estimates: Sequence[JackknifeEstimate], sizes: Sequence[int], user: float) -> Spread:
    """Return the spread that reproduces the standard errors of a metric of several checkpoints on the same users.

    A common share below 0 or above 1 is set to that bound: the differences vary more than independent rows, or less
    than the users alone.

    Args:
        sizes: Rows of each user.
        user: Share of a row's variance that is between users.
    """
    of_users, of_rows = sum((size / sum(sizes)) ** 2 for size in sizes), 1 / sum(sizes)
    alone = statistics.median(interval(each).se ** 2 for each in estimates)
    apart = statistics.median(interval(difference(*pair)).se ** 2 for pair in combinations(estimates, 2))
    variance = alone / (user * of_users + (1 - user) * of_rows)
    own = apart / (2 * variance) - user * (1 - COMMON_USER) * of_users
    common = 1 - own / ((1 - user) * of_rows)
    truth = statistics.fmean(each.value for each in estimates)
    return Spread(truth, math.sqrt(variance), user, min(max(common, 0.0), 1.0))


def measure(checkpoints: Sequence[Path], split: str, seeds: int) -> dict[str, Spread]:
    """Return the spread of each metric in evaluations of checkpoints on a split."""
    found = [evaluate(checkpoint, split, range(seeds)) for checkpoint in checkpoints]
    sizes = tuple(Counter(load_splits(DataConfig())[split].group).values())
    return {
        name: measured([each.metrics[name] for each in found], sizes, spread.user) for name, spread in SPREADS.items()
    }


def evaluation(metrics: dict[str, JackknifeEstimate], split: str) -> EvaluationResult:
    """Return an evaluation result with these metrics."""
    sizes, by_seed = SIZES[split], {name: (metric.value,) for name, metric in metrics.items()}
    return EvaluationResult("0" * 64, "diffusion", split, "0" * 64, (0,), users_of(sizes), sum(sizes), metrics, by_seed)


def passes(decision: Decision, name: str) -> bool:
    """Whether a metric passes its comparison with the champion."""
    return all(check.held for check in decision.checks if check.figure == name and check.law.startswith("upper"))


def decided(split: str, gain: float, differing: float, count: int) -> Decisions:
    """Simulate `count` decisions of one kind."""
    rng = np.random.default_rng([DECIDED_ON.index(split), GAINS.index(gain), DIFFERING.index(differing)])
    found = [decision(rng, gain, differing, split) for _ in range(count)]
    differences = [
        apart.value for each in found if (apart := each.figures[names.VAL_AUC_EXCESS].difference) is not None
    ]
    passed = {name: rate([passes(each, name) for each in found]) for name in SPREADS}
    sd, promoted = statistics.stdev(differences), rate([each.promoted for each in found])
    return Decisions(split, len(SIZES[split]), gain, differing, sd, passed, promoted)


def covered(split: str, correlation: float, count: int) -> Coverage:
    """Simulate `count` intervals of a mean whose truth is 0."""
    rng, spread = np.random.default_rng(CORRELATIONS.index(correlation)), Spread(0.0, 1.0, correlation, common=0.0)
    intervals = [interval(clustered(sample_rows(rng, spread, SIZES[split])[0], SIZES[split])) for _ in range(count)]
    return Coverage(split, correlation, rate([each.low <= 0.0 <= each.high for each in intervals]))


def rate(found: Sequence[bool]) -> Rate:
    """Return the share of cases that are true."""
    share = sum(found) / len(found)
    return Rate(share, math.sqrt(share * (1 - share) / len(found)), len(found))


def row(line: Decisions) -> str:
    """Return one line of the table of decisions."""
    rates = (*line.passed.values(), line.promoted)
    head = f"{line.split:<13}{line.users:>6}{line.gain:>10g}{line.gain * line.differing:>8g}{line.sd:>8.4f}"
    return head + "".join(f"{each!s:>16}" for each in rates)


def print_spreads(checkpoints: Sequence[Path], seeds: int) -> int:
    """Print the spreads on each split that no promotion is decided on; return the exit code."""
    if len(checkpoints) < 2:
        print("error: expected --measure with 2 checkpoints or more, but got 1; name another", file=sys.stderr)
        return 2
    print(f"{'split':<12}{'metric':<20}{'truth':>8}{'sd':>8}{'user':>8}{'common':>8}")
    for split in MEASURED_ON:
        for name, spread in measure(checkpoints, split, seeds).items():
            print(
                f"{split:<12}{name.removeprefix('val/'):<20}" + "".join(f"{v:>8.3f}" for v in asdict(spread).values())
            )
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the simulations and print both tables; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--decisions", type=int, default=1000, help="number of each line")
    parser.add_argument("--intervals", type=int, default=10_000, help="number of each line")
    parser.add_argument("--output", type=Path, help="also write the measurements as JSON here")
    parser.add_argument("--measure", type=Path, nargs="+", metavar="CHECKPOINT", help="print the spreads of these")
    parser.add_argument("--eval-seeds", type=int, default=3, help="number of evaluations of each checkpoint")
    given = parser.parse_args(argv)
    if given.measure:
        return print_spreads(given.measure, given.eval_seeds)
    columns = [*(name.removeprefix("val/") for name in SPREADS), "promoted"]
    print("% of decisions in which each metric passes its comparison\n")
    head = f"{'split':<13}{'users':>6}{'better by':>10}{'±':>8}{'sd':>8}"
    print(head + "".join(f"{name:>16}" for name in columns))
    decisions = []
    for split, gain, differing in product(DECIDED_ON, GAINS, DIFFERING):
        if gain or not differing:
            decisions.append(decided(split, gain, differing, given.decisions))
            print(row(decisions[-1]), flush=True)
    print("\n% of 95 % intervals that contain the truth\n")
    print(f"{'split':<12}{'correlation':>12}{'covered':>16}")
    coverage = [covered(COVERED_ON, correlation, given.intervals) for correlation in CORRELATIONS]
    for each in coverage:
        print(f"{each.split:<12}{each.correlation:>12g}{each.covered!s:>16}")
    if given.output:
        found = {"decisions": [*map(asdict, decisions)], "coverage": [*map(asdict, coverage)]}
        given.output.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
