"""Null band of a two-sample test, without torch: a study's leaderboard stores it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BAND = 1.96  # standard deviations on either side of the mean: 95 % of a normal distribution


@dataclass(frozen=True)
class NullBand:
    """Accuracy of random real halves against each other: the range without a difference."""

    mean: float
    std: float
    low: float  # mean - BAND std
    high: float  # mean + BAND std

    @classmethod
    def of(cls, values: Sequence[float]) -> "NullBand":
        """Return the band of values that were found without a difference, at least two."""
        mean, std = float(np.mean(values)), float(np.std(values, ddof=1))
        return cls(mean, std, mean - BAND * std, mean + BAND * std)
