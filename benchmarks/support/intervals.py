"""Student's 95 % intervals: of a mean over seeds, and of one over users and seeds.

Over S seeds: mean(y) ± t(0.975, S - 1) std(y) / sqrt(S). Of a metric that is measured on the same users after every
training, users and seeds both vary:

    se^2 = se_users^2 + std(y)^2 / S        degrees of freedom by Satterthwaite

as `trainables.eval.intervals.jackknife` adds the variance over draws. What users and seeds have in common is counted
twice, so that the interval is rather too wide.

References: Robust Inference With Multiway Clustering (Cameron, Gelbach & Miller, 2011), doi:10.1198/jbes.2010.07136.
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
        within: Smallest and largest value that the metric can take; the interval stays inside.

    Raises:
        ConfigError: fewer than two seeds.
    """
    seeds = len(by_seed)
    require(seeds >= 2, "`seeds >= 2`", str(seeds), "one training has no interval")
    return jackknife.interval(jackknife.mean(by_seed), within=within)
