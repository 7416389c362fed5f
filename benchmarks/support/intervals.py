"""Student's 95 % intervals of a mean over seeds: mean(y) ± t(0.975, S - 1) std(y) / sqrt(S)."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student

from trainables.core.config import require
from trainables.core.formatting import format_interval


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
