"""Student's 95 % intervals: of a mean over seeds, and of one over users and seeds.

Over S seeds: mean(y) ± t(0.975, S - 1) std(y) / sqrt(S). Of a metric that is measured on the same users after every
training, users and seeds both vary:

    se^2 = se_users^2 + std(y)^2 / S        df = se^4 / (se_users^4 / (G - 1) + (std(y)^2 / S)^2 / (S - 1))

with se_users the jackknife's over G users of the mean over seeds. What users and seeds have in common is counted
twice, so that the interval is rather too wide; the degrees of freedom are those of Satterthwaite.

References: An Approximate Distribution of Estimates of Variance Components (Satterthwaite, 1946), doi:10.2307/3002019.
Robust Inference With Multiway Clustering (Cameron, Gelbach & Miller, 2011), doi:10.1198/jbes.2010.07136.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student

from trainables.core.config import require
from trainables.core.formatting import format_interval
from trainables.eval.intervals import jackknife
from trainables.eval.intervals.jackknife import JackknifeEstimate


@dataclass(frozen=True)
class Interval:
    """Mean over seeds, and half the width of its interval."""

    mean: float
    half_width: float

    def __str__(self) -> str:
        return format_interval(self.mean, self.mean - self.half_width, self.mean + self.half_width)

    @classmethod
    def over(cls, values: Sequence[float]) -> "Interval":
        """Return the interval of the mean of several values.

        Raises:
            ConfigError: fewer than two values, which have no interval.
        """
        count = len(values)
        require(count >= 2, "`seeds >= 2`", str(count), "one training has no interval")
        half_width = float(student.ppf(0.975, count - 1)) * statistics.stdev(values) / math.sqrt(count)
        return cls(statistics.fmean(values), half_width)


def format_mean(values: Sequence[float]) -> str:
    """Return the mean of values with its interval; of one value, the value."""
    return str(Interval.over(values)) if len(values) > 1 else f"{values[0]:.3f}"


def over_users_and_seeds(
    by_seed: Sequence[JackknifeEstimate], within: tuple[float, float] = (-math.inf, math.inf)
) -> jackknife.Interval:
    """Return the mean over seeds of a metric with its 95 % interval over users and seeds.

    Args:
        by_seed: The metric after each training, with and without each user.
        within: Smallest and largest value that the metric can take; the interval is cut there.

    Raises:
        ConfigError: fewer than two seeds.
    """
    seeds = len(by_seed)
    require(seeds >= 2, "`seeds >= 2`", str(seeds), "one training has no interval")
    users = jackknife.interval(jackknife.mean(by_seed))
    parts = (users.se**2, statistics.variance([one.value for one in by_seed]) / seeds)
    spread = parts[0] ** 2 / users.df + parts[1] ** 2 / (seeds - 1)
    se, df = math.sqrt(sum(parts)), sum(parts) ** 2 / spread if spread > 0 else float(users.df)
    reach = float(student.ppf(0.975, df)) * se
    low, high = max(users.value - reach, within[0]), min(users.value + reach, within[1])
    return jackknife.Interval(users.value, se, low, high, math.floor(df))
