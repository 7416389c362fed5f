"""Configuration of the denoiser, without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainables.core.config import require
from trainables.data.config import CONDITION_WIDTH


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the denoiser; raises ConfigError where widths, groups or heads do not fit each other."""

    channels: int = 2  # C of the sequence
    condition_dim: int = 0  # width D of the condition vector; 0: unconditional
    base_channels: int = 64  # 1.2M parameters; multiples of 16 keep every convolution on full vector registers
    channel_mults: tuple[float, ...] = (1.0, 1.5, 2.0, 2.0)  # width of each stage over base_channels
    groups: int = 16  # GroupNorm groups; divides the default widths 64, 96, 128, 128
    attention_heads: int = 4
    embedding_dim: int = 128  # of t and the condition; wider costs parameters in every block's FiLM
    dropout: float = 0.1
    self_condition: bool = False  # whether the previous estimate of x_0 is an input

    def __post_init__(self) -> None:
        for name in ("channels", "base_channels", "groups", "attention_heads"):
            value = getattr(self, name)
            require(value >= 1, f"`{name} >= 1`", f"{name}={value}", "choose a positive one")
        require(
            self.condition_dim >= 0, "`condition_dim >= 0`", f"condition_dim={self.condition_dim}", "0: no condition"
        )
        require(0.0 <= self.dropout < 1.0, "`0 <= dropout < 1`", f"dropout={self.dropout}", "0 turns it off")
        require(len(self.channel_mults) > 0, "`channel_mults` to have a stage", "none", "give one factor per stage")
        even = self.embedding_dim >= 2 and self.embedding_dim % 2 == 0
        require(
            even, "`embedding_dim` to be positive and even", f"embedding_dim={self.embedding_dim}", "choose an even one"
        )
        for mult in self.channel_mults:
            self._check_width(mult)
        require(
            self.widths[-1] % self.attention_heads == 0,
            "`attention_heads` to divide the last width",
            f"attention_heads={self.attention_heads}, width={self.widths[-1]}",
            "choose a divisor of the width",
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage, base_channels x channel_mults."""
        return tuple(round(self.base_channels * mult) for mult in self.channel_mults)

    @property
    def length_multiple(self) -> int:
        """The product of the strides, which the internal length is a multiple of."""
        return int(2 ** (len(self.channel_mults) - 1))

    def _check_width(self, mult: float) -> None:
        width = self.base_channels * mult
        require(
            width >= 1 and width == round(width),
            "`base_channels * mult` to be a positive integer",
            f"base_channels={self.base_channels}, mult={mult}",
            "choose a base that the factors keep whole",
        )
        require(
            round(width) % self.groups == 0,
            "`groups` to divide every width",
            f"groups={self.groups}, width={round(width)}",
            "choose fewer groups or another base_channels",
        )


def unet_mapping(model: Mapping[str, Any]) -> dict[str, Any]:
    """The UNet's configuration from the `model` section of a run's configuration."""
    return {"channels": 2, "condition_dim": CONDITION_WIDTH, **model}
