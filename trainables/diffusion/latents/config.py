"""Configuration of latent diffusion, without torch."""

from dataclasses import dataclass

from trainables.core.bounds import NonNegativeFloat, PositiveFloat, PositiveInt, check
from trainables.core.config import require


@dataclass(frozen=True)
class LatentConfig:
    """The switch of latent diffusion, the shape of its autoencoder and how that is trained."""

    enabled: bool = False  # diffuse latents of an autoencoder in place of the steps
    channels: PositiveInt = 8  # channels of the latents; 8 over T/4 steps are as many numbers as 2 over T
    width: PositiveInt = 32  # channels of the autoencoder's finest stage, twice as many at the coarser ones
    groups: PositiveInt = 8  # GroupNorm groups; divides the width
    steps: PositiveInt = 600  # training steps of the autoencoder; converged: the linear fold is nearly lossless at once
    batch_size: PositiveInt = 64  # movements per training step of the autoencoder
    lr: PositiveFloat = 2e-3  # learning rate of AdamW at the start; half a cosine takes it down to zero
    noise: NonNegativeFloat = 0.1  # s.d. of the Gaussian posterior: neighbouring latents must decode alike
    scale_weight: NonNegativeFloat = 1e-3  # weight of the latents' mean square, which the noise is measured against

    def __post_init__(self) -> None:
        check(self)
        divides = self.width % self.groups == 0
        require(divides, "`groups` to divide `width`", f"groups={self.groups}, width={self.width}")
