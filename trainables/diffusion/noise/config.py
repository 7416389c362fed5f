"""Configuration of the diffusion process, without torch."""

from dataclasses import dataclass
from typing import Annotated

from trainables.core.bounds import Choice, Fraction, NonNegativeFloat, PositiveInt, Range, Share, check

PREDICTION_NAMES = ("v", "eps", "flow")
SCHEDULE_NAMES = ("cosine", "log_snr", "linear")
TIMES_NAMES = ("uniform", "lognormal")  # the keys of `trainables.diffusion.noise.times.TIMES`


@dataclass(frozen=True)
class NoiseConfig:
    """The diffusion process and what the network predicts."""

    # what the network predicts; v, which is the preconditioning of EDM for data of unit variance, is better conditioned
    # than eps at every noise level; flow is eps - x_0, the velocity of the straight path from data to noise
    objective: Annotated[str, Choice(PREDICTION_NAMES)] = "v"
    # how the noise grows with t; linear is the straight path of flow matching, scaled to unit variance
    schedule: Annotated[str, Choice(SCHEDULE_NAMES)] = "cosine"
    timesteps: PositiveInt = 1000  # noise levels between data and noise
    # at which noise levels the network is trained: all times alike, or ln(sigma_t / alpha_t) drawn from a normal
    # distribution; the weights by signal-to-noise ratio stay as configured, and the validation loss takes uniform times
    times: Annotated[str, Choice(TIMES_NAMES)] = "uniform"
    log_sigma_mean: Annotated[float, Range(ge=-5, le=5)] = -1.2  # mean of ln(sigma_t / alpha_t), for times=lognormal
    log_sigma_std: Annotated[float, Range(gt=0, le=5)] = 1.2  # its standard deviation
    min_snr_gamma: NonNegativeFloat = 5.0  # cap of the loss weight by signal-to-noise ratio; 0 switches the weights off
    condition_dropout: Fraction = 0.1  # share of rows that train the unconditional model, for guidance
    estimate_share: Share = 0.5  # share of rows that see their own estimate, where the model takes one

    def __post_init__(self) -> None:
        check(self)
