"""The configuration of a diffusion run: data, network, process, ranking term, optimiser, and when to stop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from trainables.augmentation.config import AugmentationConfig
from trainables.core.bounds import (
    AnyInt,
    Betas,
    Choice,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    Share,
    check,
)
from trainables.core.config import build, require
from trainables.data.config import CONDITION_WIDTH, CanonicalConfig, DataConfig
from trainables.diffusion.latents.config import LatentConfig
from trainables.diffusion.models.config import ChannelMults, UNetConfig, unet_mapping
from trainables.diffusion.noise.config import NoiseConfig
from trainables.diffusion.ranking_config import ContrastiveConfig
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.generation.selection.config import ReweightConfig
from trainables.training import metric_names as names

WIDEST = 0.28  # widths above 12^-1/2 = 0.289 have no power function
STOPPING_METRICS = (names.VAL_LOSS, names.VAL_AUC_EXCESS, names.VAL_MMD)


@dataclass(frozen=True)
class ModelConfig:
    """The searched and fixed sizes of the UNet."""

    base_channels: PositiveInt = 64  # channels of the finest stage; widths 64, 96, 128, 128: 1.2M parameters
    # channels of each stage over base_channels, finest first
    channel_mults: ChannelMults = (1.0, 1.5, 2.0, 2.0)
    groups: PositiveInt = 8  # GroupNorm groups; 8 divides the widths of every base that is a multiple of 16
    dropout: Fraction = 0.1  # dropout rate of the residual blocks
    self_condition: bool = False  # the network sees its previous estimate of x_0: a fifth more time, for nothing

    def unet(self, channels: int = 2, condition_dim: int = CONDITION_WIDTH) -> UNetConfig:
        """The network's own configuration, with the widths that the data dictate."""
        return UNetConfig(**unet_mapping({**vars(self), "channels": channels, "condition_dim": condition_dim}))

    def __post_init__(self) -> None:
        check(self)
        self.unet()


@dataclass(frozen=True)
class MotionConfig:
    """Still or moving as a variable of its own; for `fixed_dt`, in which a step is a tick of the observation."""

    # a channel beside the steps decides which are still: exactly zero; the others are a pixel; null: wherever it can
    channel: bool | None = None
    # whether the first and the last step move is a condition, in samples drawn from known ones of the source; null:
    # wherever there is a channel by default
    ends: bool | None = None

    def __post_init__(self) -> None:
        check(self)

    def decided(self, canonical: CanonicalConfig, latent: LatentConfig) -> "MotionConfig":
        """Return both as they are for a diffusion of these sequences, neither of them null."""
        possible = canonical.representation == "fixed_dt" and not latent.enabled
        return MotionConfig(
            channel=possible if self.channel is None else self.channel,
            ends=possible if self.ends is None else self.ends,
        )


def recorded_motion(config: Mapping[str, Any]) -> MotionConfig:
    """Return both as they were decided for the diffusion whose configuration a checkpoint records."""
    canonical = build(CanonicalConfig, config["data"]["canonical"])
    return build(MotionConfig, config["motion"]).decided(canonical, build(LatentConfig, config.get("latent", {})))


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with linear warm-up and cosine decay."""

    lr: PositiveFloat = 2e-3  # peak learning rate, for some hundred steps; 2e-4 suits runs of ten thousand
    weight_decay: NonNegativeFloat = 1e-2  # decoupled weight decay of AdamW
    betas: Betas = (0.9, 0.999)  # decay rates of AdamW's running moments
    grad_clip: PositiveFloat = 1.0  # largest norm of the gradient; longer ones are scaled down to it
    ema_decay: Fraction = 0.999  # decay per step of the averaged weights, which are the ones that sample
    # width of the average over the steps trained so far, as a share of them, in place of `ema_decay`, which takes
    # effect after ten times its 1 / (1 - decay) steps only; null: by `ema_decay`
    ema_width: Annotated[float, Range(gt=0, le=WIDEST)] | None = None
    warmup_steps: NonNegativeInt = 50  # steps over which the learning rate rises linearly to its peak
    final_lr_share: Share = 0.05  # learning rate of the last step over its peak
    accumulate: PositiveInt = 1  # parts of a batch that are computed one after the other, for less memory
    mixed_precision: bool = True  # bfloat16 autocast, only where the device computes it natively

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """The end of a run whose validation no longer improves."""

    # validation metric that is watched; smaller is better
    metric: Annotated[str, Choice(STOPPING_METRICS)] = names.VAL_LOSS
    patience: NonNegativeInt = 0  # epochs without improvement before the run ends; 0: never stop early
    min_delta: NonNegativeFloat = 0.0  # decrease of the metric that counts as an improvement

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DiffusionConfig:
    """One training run."""

    seed: AnyInt = 0  # seed of weights, batches, noise and generated movements
    epochs: PositiveInt = 9  # epochs of the run, each followed by an evaluation
    steps_per_epoch: PositiveInt = 150  # optimiser steps per epoch; equal for every alpha, so that trials cost the same
    batch_size: Annotated[int, Range(ge=2)] = 64  # movements per optimiser step, of all workers together
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    # checkpoint folder of a diffusion of the same data and network, whose averaged weights the training begins with;
    # empty: it begins with new ones
    init_from: str = ""
    reweight: ReweightConfig = field(default_factory=ReweightConfig)  # weights of training movements in the loss
    latent: LatentConfig = field(default_factory=LatentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    diffusion: NoiseConfig = field(default_factory=NoiseConfig)
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)  # of the evaluation after each epoch
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        check(self)
        steps, timesteps = self.sampling.steps, self.diffusion.timesteps
        require(steps <= timesteps, "`sampling.steps <= diffusion.timesteps`", f"steps={steps}, timesteps={timesteps}")
        require(
            self.sampling.candidates == 1,
            "`sampling.candidates = 1` in a training, whose checkpoints have no selector yet",
            f"candidates={self.sampling.candidates}",
            "leave it out, and fit a selector to the trained checkpoint with `python -m platform.selector`",
        )
        plain_steps = not self.latent.enabled and self.data.canonical.form.channels == 2
        form = f"latent.enabled={self.latent.enabled}, representation={self.data.canonical.representation}"
        require(plain_steps or not self.sampling.inpaint, "`inpaint` only with a diffusion of steps (dx, dy)", form)
        of_ticks = self.data.canonical.representation == "fixed_dt"
        remedy = "set motion.channel=false and motion.ends=false"
        asked = self.motion.channel or self.motion.ends
        require(of_ticks or not asked, "`motion` only with fixed_dt", form, remedy)
        law = "`motion.channel` only with a diffusion of steps"
        require(not (self.motion.channel and self.latent.enabled), law, form, "set motion.channel=false")
        require(
            self.batch_size % self.optim.accumulate == 0,
            "`accumulate` to divide `batch_size`",
            f"accumulate={self.optim.accumulate}, batch_size={self.batch_size}",
        )
        require(
            self.contrastive.weight == 0 or self.contrastive.negatives < self.batch_size,
            "`contrastive.negatives < batch_size`",
            f"negatives={self.contrastive.negatives}, batch_size={self.batch_size}",
        )

    @property
    def channels(self) -> int:
        """Channels of what the network sees: of the sequences, with that of motion if it has one, or of latents."""
        of_steps = self.data.canonical.form.channels + self.motion_channel
        return self.latent.channels if self.latent.enabled else of_steps

    @property
    def motion_channel(self) -> bool:
        """Whether a channel beside the steps decides which of them are still."""
        return self._motion.channel is True

    @property
    def motion_ends(self) -> bool:
        """Whether it is a condition that the first and the last step move."""
        return self._motion.ends is True

    @property
    def _motion(self) -> MotionConfig:
        return self.motion.decided(self.data.canonical, self.latent)
