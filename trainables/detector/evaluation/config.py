"""Configuration of a detector's evaluation report, without torch."""

from dataclasses import dataclass, field
from itertools import pairwise

from trainables.core.config import require
from trainables.eval.intervals.config import BootstrapConfig


@dataclass(frozen=True)
class DetectorMetricsConfig:
    """Which figures, and how sure."""

    fprs: tuple[float, ...] = (0.01, 0.001)  # shares of people who may be accused; by the first the rows are ordered
    bins: int = 15  # of the reliability table
    movements: tuple[int, ...] = (1, 3, 5, 10)  # of a session
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)
    seed: int = 20240  # of the intervals

    def __post_init__(self) -> None:
        law = "`fprs` to be falling, in (0, 1), at least one"
        falling = bool(self.fprs) and all(high > low for high, low in pairwise(self.fprs))
        require(falling and 0 < self.fprs[-1] <= self.fprs[0] < 1, law, f"fprs={self.fprs}")
        require(self.bins >= 1, "`bins >= 1`", f"bins={self.bins}")
        rising = bool(self.movements) and all(low < high for low, high in pairwise(self.movements))
        require(rising and self.movements[0] >= 1, "`movements` to be rising, from 1 on", f"movements={self.movements}")
