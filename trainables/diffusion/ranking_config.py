"""Configuration of the ranking term, without torch."""

import math
from dataclasses import dataclass

from trainables.core.config import require, require_member

LOSS_NAMES = ("infonce", "triplet", "hinge0", "softplus", "logistic")
NORMALISATION_NAMES = ("batch", "dimension", "none")
SOURCE_NAMES = ("batch", "queue")


@dataclass(frozen=True)
class ContrastiveConfig:
    """The ranking term; weight 0 switches it off and costs nothing."""

    weight: float = 0.0
    temperature: float = 0.5  # of the smooth losses, in units of the normalised distance
    negatives: int = 1  # K of each ranked row
    share: float = 0.25  # of the batch that is ranked: the term costs share * negatives of a plain step
    loss: str = "infonce"
    margin: float = 0.2  # of the triplet loss alone, in units of the normalised distance
    normalise: str = "batch"  # so that the temperature means the same at every length, width and noise level
    every: int = 1  # steps from one ranked step to the next; its weight is multiplied by as much
    detach_negatives: bool = False  # no gradient through the negatives
    source: str = "batch"  # "queue": also conditions of past batches
    queue_size: int = 1024  # conditions that the queue holds

    def __post_init__(self) -> None:
        require(self.weight >= 0, "`weight >= 0`", f"weight={self.weight}")
        require(self.temperature > 0, "`temperature > 0`", f"temperature={self.temperature}")
        require(self.negatives >= 1, "`negatives >= 1`", f"negatives={self.negatives}")
        require(0 < self.share <= 1, "`0 < share <= 1`", f"share={self.share}")
        require(0 <= self.margin < math.inf, "`0 <= margin < inf`", f"margin={self.margin}")
        require(self.every >= 1, "`every >= 1`", f"every={self.every}")
        require(self.queue_size >= 1, "`queue_size >= 1`", f"queue_size={self.queue_size}")
        require_member("loss", self.loss, LOSS_NAMES)
        require_member("normalise", self.normalise, NORMALISATION_NAMES)
        require_member("source", self.source, SOURCE_NAMES)

    def ranked(self, batch_size: int) -> int:
        """Rows of a batch that are ranked; the batch is shuffled, so they are its first ones."""
        return max(1, round(self.share * batch_size))

    def due(self, step: int) -> bool:
        """Whether the term is computed at this step."""
        return self.weight > 0 and step % self.every == 0

    @property
    def step_weight(self) -> float:
        """Weight of the term at a step where it is computed: the mean over all steps is `weight`."""
        return self.weight * self.every
