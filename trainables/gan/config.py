"""The configuration of an adversarial run: data, networks, the game, and the judgement."""

import math
from dataclasses import dataclass, field

from trainables.core.config import require
from trainables.data.config import DataConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.generation.config import AugmentationConfig


@dataclass(frozen=True)
class GanModelConfig:
    """Shape of both networks."""

    widths: tuple[int, ...] = (32, 48, 64, 96)  # channels of each stage, finest first; 0.2M parameters a network
    blocks: int = 1  # residual blocks of each stage
    latent_dim: int = 32  # what is decided once for a whole movement
    noise_channels: int = 8  # what is decided step by step
    embedding_dim: int = 128

    def __post_init__(self) -> None:
        require(len(self.widths) >= 1, "`widths` to have a stage", "none", "give one width per stage")
        require(min(self.widths) >= 1, "`widths >= 1`", f"widths={self.widths}")
        for name in ("blocks", "latent_dim", "noise_channels", "embedding_dim"):
            require(getattr(self, name) >= 1, f"`{name} >= 1`", f"{name}={getattr(self, name)}")

    @property
    def length_multiple(self) -> int:
        """The product of the strides, which the internal length is a multiple of."""
        return int(2 ** (len(self.widths) - 1))


@dataclass(frozen=True)
class GameConfig:
    """Two Adams, one per player: published moments, rates that fall linearly, the generator's after a warm-up."""

    critic_steps: int = 3  # per generator step; the 5 of the paper take half as much time again
    critic_lr: float = 1e-3
    generator_lr: float = 5e-4
    warmup_steps: int = 100  # of the generator, which else runs off before the critic can tell it where to
    final_lr_share: float = 0.05
    betas: tuple[float, ...] = (0.0, 0.9)
    gradient_penalty: float = 10.0  # weight of the penalty
    ema_decay: float = 0.999
    dequantise: bool = True  # real steps are shifted within their pixel

    def __post_init__(self) -> None:
        require(self.critic_steps >= 1, "`critic_steps >= 1`", f"critic_steps={self.critic_steps}")
        require(0 < self.critic_lr < math.inf, "`0 < critic_lr < inf`", f"critic_lr={self.critic_lr}")
        require(0 < self.generator_lr < math.inf, "`0 < generator_lr < inf`", f"generator_lr={self.generator_lr}")
        require(self.warmup_steps >= 0, "`warmup_steps >= 0`", f"warmup_steps={self.warmup_steps}")
        require(0 <= self.final_lr_share <= 1, "`0 <= final_lr_share <= 1`", str(self.final_lr_share))
        valid = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        require(valid, "`betas` to be two numbers in [0, 1)", f"betas={self.betas}")
        require(0 <= self.gradient_penalty < math.inf, "`0 <= gradient_penalty < inf`", str(self.gradient_penalty))
        require(0 <= self.ema_decay < 1, "`0 <= ema_decay < 1`", f"ema_decay={self.ema_decay}")


@dataclass(frozen=True)
class GanConfig:
    """One training run."""

    seed: int = 0
    epochs: int = 3  # beyond, the critic overfits the default recordings and the samples get worse
    steps_per_epoch: int = 150  # generator steps between two evaluations
    batch_size: int = 32  # small, for more moves of either player a minute
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: GanModelConfig = field(default_factory=GanModelConfig)
    game: GameConfig = field(default_factory=GameConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "`epochs >= 1`", f"epochs={self.epochs}")
        require(self.steps_per_epoch >= 1, "`steps_per_epoch >= 1`", f"steps_per_epoch={self.steps_per_epoch}")
        require(self.batch_size >= 2, "`batch_size >= 2`", f"batch_size={self.batch_size}")
