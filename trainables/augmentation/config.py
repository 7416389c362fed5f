"""Configuration of a network's training set, without torch."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import Choice, Range, check
from trainables.core.config import require
from trainables.data.config import VariationsConfig

GENERATOR_NAMES = ("minimum_jerk", "physical")  # the keys of `trainables.augmentation.generators.GENERATORS`


@dataclass(frozen=True)
class AugmentationConfig:
    """Generated movements in the training set, by count, without weight; and how the real ones are varied."""

    # generated movements in the training set over real ones; above 0 not shown to pay, see docs/results.md
    alpha: Annotated[float, Range(ge=0, le=10)] = 0.0
    # model that makes them; minimum_jerk is fitted to nothing, physical to the training movements
    generator: Annotated[str, Choice(GENERATOR_NAMES)] = "minimum_jerk"
    physical_checkpoint: str = ""  # checkpoint folder of a physical model, for generator=physical
    variations: VariationsConfig = field(default_factory=VariationsConfig)

    def __post_init__(self) -> None:
        check(self)
        given, fitted = bool(self.physical_checkpoint), self.generator == "physical"
        law = "`physical_checkpoint` with `generator=physical`, and with no other"
        got = f"generator={self.generator}, physical_checkpoint={self.physical_checkpoint or 'none'}"
        require(given == fitted, law, got, "fit one: python -m platform.train trainable=physical")
