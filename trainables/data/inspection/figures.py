"""Figures of recordings: whose they are, what their recorder is like, and what the canonical form can hold."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trainables.data.readers.recording_set import FloatArray
from trainables.data.splits.parts import Kept

LENGTHS = (64, 128)  # T at which usable movements are counted: the default, and what keeps most movements
GAP_MS = 100.0  # a longer step is a rest or a loss of events
PERCENTILES = (5, 50, 95)


@dataclass(frozen=True)
class Spread:
    """Percentiles 5, 50 and 95 of a quantity."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: FloatArray) -> "Spread":
        """Return the percentiles of at least one value.

        >>> Spread.of(np.arange(101.0))
        Spread(low=5.0, median=50.0, high=95.0)
        """
        return cls(*(float(value) for value in np.percentile(values, PERCENTILES)))


@dataclass(frozen=True)
class SourceFigures:
    """Figures of one source.

    Attributes:
        step_ms: Median step of each movement.
        usable: T -> how many movements the canonical form can hold.
        split_users: Split -> users with usable movements at the T of the data set.
    """

    movements: int
    users: int
    step_ms: Spread
    usable: Mapping[int, Kept]
    split_users: Mapping[str, int]


@dataclass(frozen=True)
class SplitFigures:
    """Movements and users of a split: of a user of an evaluated one at most `rows_per_user` movements."""

    movements: int
    users: int
    effective_users: float


@dataclass(frozen=True)
class UserFigures:
    """Users and how many movements they have: the fewest, the median and the most."""

    count: int
    effective: float
    fewest: int
    median: float
    most: int
    largest: str
    largest_share: float


@dataclass(frozen=True)
class MovementFigures:
    """Figures of the movements that are kept.

    Attributes:
        sequence_length: T that the data set needs, one of `LENGTHS`.
        unusable: T -> reason -> movements that the canonical form cannot hold.
        splits: By the hash of the users, of the usable movements at `sequence_length`.
        step_ms: Median step of each movement.
        whole_ms: Share of the steps that are whole milliseconds.
        whole_px: Share of the coordinates that are whole pixels.
        gaps: Share of the movements with a step over `GAP_MS`.
        x_px, y_px: Extremes of the positions.
        at_edges: Share of the movements that reach an edge of the screen of their session.
        targets: Share of the movements with a known target.
        target_width_px: Of the known widths.
        widths: Share of the movements with a known width.
        named_by_files: Whether every user has the name of the only session.
    """

    sources: Mapping[str, SourceFigures]
    sequence_length: int
    unusable: Mapping[int, Mapping[str, int]]
    splits: Mapping[str, SplitFigures]
    users: UserFigures
    sessions: int
    step_ms: Spread
    whole_ms: float
    whole_px: float
    gaps: float
    x_px: tuple[float, float]
    y_px: tuple[float, float]
    at_edges: float
    duration_s: Spread
    distance_px: Spread
    targets: float
    widths: float
    target_width_px: Spread | None
    named_by_files: bool
