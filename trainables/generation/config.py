"""Configuration of a generator's training set, without torch."""

from dataclasses import dataclass, field

from trainables.core.config import require, require_member
from trainables.data.config import VariationsConfig

GENERATOR_NAMES = ("minimum_jerk",)  # the keys of `trainables.physical.minimum_jerk.GENERATORS`


@dataclass(frozen=True)
class AugmentationConfig:
    """Generated movements in the training set, by count, without weight; and how the real ones are varied."""

    alpha: float = 0.0  # generated over real
    generator: str = "minimum_jerk"
    variations: VariationsConfig = field(default_factory=VariationsConfig)

    def __post_init__(self) -> None:
        require(0 <= self.alpha <= 10, "`0 <= alpha <= 10`", f"alpha={self.alpha}")
        require_member("generator", self.generator, GENERATOR_NAMES)
