"""Null band of a two-sample test, without torch: a study's leaderboard stores it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NullBand:
    """Accuracy of random real halves against each other: the range without a difference."""

    mean: float
    std: float
    low: float  # mean - BAND std
    high: float  # mean + BAND std
