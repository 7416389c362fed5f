"""Configuration of the diffusion process, without torch."""

from dataclasses import dataclass
from typing import Annotated

from trainables.core.bounds import Choice, Fraction, NonNegativeFloat, PositiveInt, Share, check

PREDICTION_NAMES = ("v", "eps")
SCHEDULE_NAMES = ("cosine", "log_snr")


@dataclass(frozen=True)
class NoiseConfig:
    """The diffusion process and what the network predicts."""

    # what the network predicts; v is better conditioned than eps at every noise level
    objective: Annotated[str, Choice(PREDICTION_NAMES)] = "v"
    schedule: Annotated[str, Choice(SCHEDULE_NAMES)] = "cosine"  # how the noise grows with t
    timesteps: PositiveInt = 1000  # noise levels between data and noise
    min_snr_gamma: NonNegativeFloat = 5.0  # cap of the loss weight by signal-to-noise ratio; 0 switches the weights off
    condition_dropout: Fraction = 0.1  # share of rows that train the unconditional model, for guidance
    estimate_share: Share = 0.5  # share of rows that see their own estimate, where the model takes one

    def __post_init__(self) -> None:
        check(self)
