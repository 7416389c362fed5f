"""Configuration of a generator's training set, without torch."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import Choice, Range, check
from trainables.data.config import VariationsConfig

GENERATOR_NAMES = ("minimum_jerk",)  # the keys of `trainables.physical.minimum_jerk.GENERATORS`


@dataclass(frozen=True)
class AugmentationConfig:
    """Generated movements in the training set, by count, without weight; and how the real ones are varied."""

    alpha: Annotated[float, Range(ge=0, le=10)] = 0.0  # generated movements in the training set over real ones
    generator: Annotated[str, Choice(GENERATOR_NAMES)] = "minimum_jerk"  # model that makes them
    variations: VariationsConfig = field(default_factory=VariationsConfig)

    def __post_init__(self) -> None:
        check(self)
