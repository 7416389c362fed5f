"""Latency of two models on the same movements, measured in turns so that a busy machine affects both alike.

They take turns in this process, on one thread, and each turn gives one ratio. The median ratio is bounded from above by
an order statistic: of n ratios the k-th smallest lies above the median with probability P(Binomial(n, 1/2) < k),
whatever their distribution, so that the few turns in which the machine was elsewhere decide nothing.

References: Practical Nonparametric Statistics (Conover, 1999), section 3.2, confidence interval for a quantile.
"""

import math
import statistics
from dataclasses import dataclass

from trainables.core.bounds import PositiveInt, check
from trainables.core.config import require


@dataclass(frozen=True)
class LatencyConfig:
    """Settings of the latency measurement."""

    movements: PositiveInt = 64  # movements of one timed call: one batch of a network call
    repeats: PositiveInt = 11  # timed calls of each; two of 11 may be disturbed before a bound of 95 % confidence moves

    def __post_init__(self) -> None:
        check(self)

    def require_enough(self, confidence: float) -> None:
        """Raise `ConfigError` unless so many repeats can bound the median ratio with this confidence."""
        law = f"`1 - 2^-latency.repeats >= confidence` with confidence={confidence:g}"
        enough = bounding_place(self.repeats, confidence) is not None
        require(enough, law, f"latency.repeats={self.repeats}", "repeat more often")


@dataclass(frozen=True)
class Latency:
    """Milliseconds per movement of each turn; the champion's are none where there is no champion."""

    challenger: tuple[float, ...]
    champion: tuple[float, ...] = ()

    @property
    def challenger_ms(self) -> float:
        """Median of the challenger."""
        return statistics.median(self.challenger)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Challenger over champion, turn by turn."""
        return tuple(a / b for a, b in zip(self.challenger, self.champion, strict=True)) if self.champion else ()

    def ratio_bound(self, confidence: float) -> float | None:
        """Upper one-sided bound of the median ratio; None for too few turns."""
        place = bounding_place(len(self.ratios), confidence)
        return None if place is None else sorted(self.ratios)[place - 1]


def bounding_place(count: int, confidence: float) -> int | None:
    """Return the place (from 1) of the smallest of `count` ordered values that bounds their median from above.

    >>> bounding_place(11, 0.95), bounding_place(5, 0.95), bounding_place(4, 0.95)
    (9, 5, None)
    """
    places = range(1, count + 1)
    return next(
        (place for place in places if sum(math.comb(count, k) for k in range(place)) >= confidence * 2**count), None
    )
