"""The band of a two-sample test on real halves, without torch: it is stored in a study's leaderboard."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NullBand:
    """Accuracy of real halves against each other: what counts as no difference."""

    mean: float
    std: float
    low: float  # mean - BAND std
    high: float  # mean + BAND std
