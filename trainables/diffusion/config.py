"""The configuration of a diffusion run: data, network, process, ranking term, optimiser, and when to stop."""

import math
from dataclasses import dataclass, field

from trainables.core.config import require
from trainables.data.config import DataConfig
from trainables.diffusion.latents.config import LatentConfig
from trainables.diffusion.models.config import UNetConfig, unet_mapping
from trainables.diffusion.noise.config import NoiseConfig
from trainables.diffusion.ranking_config import ContrastiveConfig
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.generation.config import AugmentationConfig
from trainables.training import metric_names as names

STOPPING_METRICS = (names.VAL_LOSS, names.VAL_C2ST_EXCESS, names.VAL_MMD)


@dataclass(frozen=True)
class ModelConfig:
    """The searched and fixed sizes of the UNet."""

    base_channels: int = 64  # widths 64, 96, 128, 128: 1.2M parameters
    channel_mults: tuple[float, ...] = (1.0, 1.5, 2.0, 2.0)
    groups: int = 8  # divides the widths of every base that is a multiple of 16
    dropout: float = 0.1
    self_condition: bool = True  # the network sees its previous estimate of x_0

    def unet(self, channels: int = 2) -> UNetConfig:
        """The network's own configuration, with the widths that the data dictate."""
        return UNetConfig(**unet_mapping({**vars(self), "channels": channels}))

    def __post_init__(self) -> None:
        self.unet()


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with linear warm-up and cosine decay."""

    lr: float = 2e-3  # a sweep trial takes some hundred steps; 2e-4 suits runs of ten thousand
    weight_decay: float = 1e-2
    betas: tuple[float, ...] = (0.9, 0.999)
    grad_clip: float = 1.0
    ema_decay: float = 0.999
    warmup_steps: int = 50
    final_lr_share: float = 0.05
    accumulate: int = 1  # parts of a batch that are computed one after the other, for less memory
    mixed_precision: bool = True  # only where the device computes bfloat16 natively

    def __post_init__(self) -> None:
        require(0 < self.lr < math.inf, "`0 < lr < inf`", f"lr={self.lr}")
        require(self.weight_decay >= 0, "`weight_decay >= 0`", f"weight_decay={self.weight_decay}")
        valid = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        require(valid, "`betas` to be two numbers in [0, 1)", f"betas={self.betas}")
        require(self.grad_clip > 0, "`grad_clip > 0`", f"grad_clip={self.grad_clip}")
        require(0 <= self.ema_decay < 1, "`0 <= ema_decay < 1`", f"ema_decay={self.ema_decay}")
        require(self.warmup_steps >= 0, "`warmup_steps >= 0`", f"warmup_steps={self.warmup_steps}")
        require(0 <= self.final_lr_share <= 1, "`0 <= final_lr_share <= 1`", str(self.final_lr_share))
        require(self.accumulate >= 1, "`accumulate >= 1`", f"accumulate={self.accumulate}")


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """The end of a run whose validation no longer improves."""

    metric: str = names.VAL_LOSS  # smaller is better
    patience: int = 0  # epochs without improvement that are endured; 0: never stop early
    min_delta: float = 0.0  # a smaller improvement is none

    def __post_init__(self) -> None:
        known = ", ".join(STOPPING_METRICS)
        require(self.metric in STOPPING_METRICS, f"`metric` in {{{known}}}", f"metric={self.metric}")
        require(self.patience >= 0, "`patience >= 0`", f"patience={self.patience}")
        require(0 <= self.min_delta < math.inf, "`0 <= min_delta < inf`", f"min_delta={self.min_delta}")


@dataclass(frozen=True)
class DiffusionConfig:
    """One training run."""

    seed: int = 0
    epochs: int = 9
    steps_per_epoch: int = 150  # between two evaluations; equal for every alpha, so that trials cost the same
    batch_size: int = 64  # of all workers together
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    latent: LatentConfig = field(default_factory=LatentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    diffusion: NoiseConfig = field(default_factory=NoiseConfig)
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)  # of what is judged
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "`epochs >= 1`", f"epochs={self.epochs}")
        steps, timesteps = self.sampling.steps, self.diffusion.timesteps
        require(steps <= timesteps, "`sampling.steps <= diffusion.timesteps`", f"steps={steps}, timesteps={timesteps}")
        plain_steps = not self.latent.enabled and self.data.canonical.form.channels == 2
        form = f"latent.enabled={self.latent.enabled}, representation={self.data.canonical.representation}"
        require(plain_steps or not self.sampling.inpaint, "`inpaint` only with a diffusion of steps (dx, dy)", form)
        require(self.steps_per_epoch >= 1, "`steps_per_epoch >= 1`", f"steps_per_epoch={self.steps_per_epoch}")
        require(self.batch_size >= 2, "`batch_size >= 2`", f"batch_size={self.batch_size}")
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
        """Channels of what the network sees: of the sequences, or of their latents."""
        return self.latent.channels if self.latent.enabled else self.data.canonical.form.channels
