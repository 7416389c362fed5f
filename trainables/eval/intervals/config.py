"""Configuration of bootstrap intervals, without torch."""

from dataclasses import dataclass
from typing import Annotated

from trainables.core.bounds import Range, check


@dataclass(frozen=True)
class BootstrapConfig:
    """Confidence level of the intervals and their number of bootstrap samples."""

    # bootstrap samples; at 1000 an end of a 95 % interval lies between the 2.0 % and the 3.0 % quantile (1 s.d.)
    replicates: Annotated[int, Range(ge=20)] = 1000
    level: Annotated[float, Range(gt=0, lt=1)] = 0.95  # confidence level of the intervals

    def __post_init__(self) -> None:
        check(self)
