"""Configuration of the ranking term, without torch."""

from dataclasses import dataclass
from typing import Annotated

from trainables.core.bounds import Choice, NonNegativeFloat, PositiveFloat, PositiveInt, Range, check

LOSS_NAMES = ("infonce", "triplet", "hinge0", "softplus", "logistic")
NORMALISATION_NAMES = ("batch", "dimension", "none")
SOURCE_NAMES = ("batch", "queue")


@dataclass(frozen=True)
class ContrastiveConfig:
    """The ranking term; weight 0 switches it off and costs nothing."""

    weight: NonNegativeFloat = 0.0  # weight of the ranking term in the loss; 0 switches it off and costs nothing
    temperature: PositiveFloat = 0.5  # of the smooth losses, in units of the normalised distance
    negatives: PositiveInt = 1  # K, negatives of each ranked row
    # share of the batch that is ranked: the term costs share * negatives of a plain step
    share: Annotated[float, Range(gt=0, le=1)] = 0.25
    loss: Annotated[str, Choice(LOSS_NAMES)] = "infonce"  # ranking loss
    margin: NonNegativeFloat = 0.2  # of the triplet loss alone, in units of the normalised distance
    # unit of the distance; so that the temperature means the same at every length, width and noise level
    normalise: Annotated[str, Choice(NORMALISATION_NAMES)] = "batch"
    every: PositiveInt = 1  # steps from one ranked step to the next; its weight is multiplied by as much
    detach_negatives: bool = False  # no gradient through the negatives
    source: Annotated[str, Choice(SOURCE_NAMES)] = "batch"  # where negatives are from; queue: also past batches
    queue_size: PositiveInt = 1024  # conditions that the queue holds

    def __post_init__(self) -> None:
        check(self)

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
