"""Configuration of latent diffusion, without torch."""

from dataclasses import dataclass

from trainables.core.config import require


@dataclass(frozen=True)
class LatentConfig:
    """The switch of latent diffusion, the shape of its autoencoder and how that is trained."""

    enabled: bool = False
    channels: int = 8  # of the latents; 8 over T/4 steps are as many numbers as 2 over T
    width: int = 32  # channels of the finest stage, twice as many at the coarser ones
    groups: int = 8  # GroupNorm groups; divides the width
    steps: int = 600  # converged: the linear fold is nearly lossless from the start
    batch_size: int = 64
    lr: float = 2e-3  # AdamW, half a cosine down to zero
    noise: float = 0.1  # s.d. of the Gaussian posterior: neighbouring latents must decode alike
    scale_weight: float = 1e-3  # of the mean square of the latents, which the noise is measured against

    def __post_init__(self) -> None:
        for name in ("channels", "width", "groups", "steps", "batch_size"):
            value = getattr(self, name)
            require(value >= 1, f"`latent.{name} >= 1`", f"{name}={value}")
        require(
            self.width % self.groups == 0, "`groups` to divide `width`", f"groups={self.groups}, width={self.width}"
        )
        require(self.lr > 0, "`lr > 0`", f"lr={self.lr}")
        require(self.noise >= 0, "`noise >= 0`", f"noise={self.noise}")
        require(self.scale_weight >= 0, "`scale_weight >= 0`", f"scale_weight={self.scale_weight}")
