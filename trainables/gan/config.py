"""The configuration of an adversarial run: data, networks, optimisation and evaluation."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.augmentation.config import AugmentationConfig
from trainables.core.bounds import (
    AnyInt,
    Betas,
    Fraction,
    Length,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    Share,
    check,
)
from trainables.data.config import DataConfig
from trainables.eval.generation.config import EvaluationConfig


@dataclass(frozen=True)
class GanModelConfig:
    """Shape of both networks."""

    # channels of each stage, finest first; 0.2M parameters per network
    widths: Annotated[tuple[PositiveInt, ...], Length()] = (32, 48, 64, 96)
    blocks: PositiveInt = 1  # residual blocks of each stage
    latent_dim: PositiveInt = 32  # noise that is drawn once for a whole movement
    noise_channels: PositiveInt = 8  # noise that is drawn for each step
    embedding_dim: PositiveInt = 128  # width of the embedded condition

    def __post_init__(self) -> None:
        check(self)

    @property
    def length_multiple(self) -> int:
        """The product of the strides, which the internal length is a multiple of."""
        return int(2 ** (len(self.widths) - 1))


@dataclass(frozen=True)
class GanOptimConfig:
    """Two Adams, one per player: published moments, rates that fall linearly, the generator's after a warm-up."""

    critic_steps: PositiveInt = 3  # critic steps per generator step; the 5 of the paper take half as much time again
    critic_lr: PositiveFloat = 1e-3  # learning rate of the critic at the start
    generator_lr: PositiveFloat = 5e-4  # peak learning rate of the generator
    # steps over which the generator's rate rises: else it runs off before the critic can give it a direction
    warmup_steps: NonNegativeInt = 100
    final_lr_share: Share = 0.05  # learning rate of the last step over its peak
    betas: Betas = (0.0, 0.9)  # decay rates of Adam's running moments
    gradient_penalty: NonNegativeFloat = 10.0  # weight of the critic's gradient penalty
    ema_decay: Fraction = 0.999  # decay per step of the generator's averaged weights, which are the ones that sample
    dequantise: bool = True  # shift real steps within their pixel, so that the critic sees no grid

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class GanConfig:
    """One training run."""

    seed: AnyInt = 0  # seed of weights, batches, noise and generated movements
    epochs: PositiveInt = 3  # epochs of the run; beyond 3 the critic overfits the default recordings
    steps_per_epoch: PositiveInt = 150  # generator steps between two evaluations
    batch_size: Annotated[int, Range(ge=2)] = 32  # movements per step; small, for more steps a minute
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: GanModelConfig = field(default_factory=GanModelConfig)
    optim: GanOptimConfig = field(default_factory=GanOptimConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        check(self)
