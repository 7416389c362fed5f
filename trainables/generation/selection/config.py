"""Configuration of the ratio behind the selection among candidates, without torch."""

from dataclasses import dataclass
from typing import Annotated

from trainables.core.bounds import (
    AnyInt,
    Choice,
    Distinct,
    Length,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Range,
    check,
)

MAX_CANDIDATES = 64  # of a sample: effective candidates grow slower than their cost, long before
Candidates = Annotated[int, Range(ge=1, le=MAX_CANDIDATES)]
COLUMN_GROUPS = ("features", "pixels", "convolutions")  # named as the probes whose kind of columns they are


@dataclass(frozen=True)
class RatioConfig:
    """How the ratio of real to sampled density is fitted to the movements of one source."""

    # groups of columns beside the condition: features (kinematic), pixels (grid, ends and profiles), convolutions of
    # raw steps, by other kernels than the probe's; a probe of a group that is left out measures what was not fitted to
    columns: Annotated[tuple[Annotated[str, Choice(COLUMN_GROUPS)], ...], Length(), Distinct()] = (
        "features",
        "pixels",
    )
    movements: PositiveInt = 2000  # real movements of a source at most
    samples: PositiveInt = 4  # per real movement, under its conditions
    trees: PositiveInt = 200  # of the gradient boosting of each fold
    learning_rate: PositiveFloat = 0.05  # share of each tree that is added
    leaves: Annotated[int, Range(ge=2)] = 15  # of a tree at most
    folds: Annotated[int, Range(ge=2)] = 5  # of users: odds are calibrated on users that a fold was not fitted to
    # largest ratio, and 1 over the smallest: whatever the trees say, no candidate outweighs another by more than its
    # square
    max_ratio: Annotated[float, Range(gt=1, lt=1e6)] = 20.0
    seed: AnyInt = 0  # of samples, folds and trees

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ReweightConfig:
    """Weights of training movements in the loss, by the ratio of an earlier checkpoint's selector."""

    # checkpoint folder of a diffusion of the same data with a selector; empty: every movement counts alike
    checkpoint: str = ""
    strength: NonNegativeFloat = 1.0  # power of the ratio; 0: every movement counts alike
    # largest weight, and 1 over the smallest, before they are divided by their mean
    max_weight: Annotated[float, Range(gt=1, lt=1e6)] = 5.0

    def __post_init__(self) -> None:
        check(self)
