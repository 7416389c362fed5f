"""Configuration of the denoiser, without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from trainables.core.bounds import Fraction, Length, NonNegativeInt, PositiveFloat, PositiveInt, check
from trainables.core.config import require
from trainables.data.config import CONDITION_WIDTH

ChannelMults = Annotated[tuple[PositiveFloat, ...], Length()]
"""Channels of each stage over those of the finest; each stage after the first halves the length."""


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the denoiser; raises ConfigError where widths, groups or heads do not fit each other."""

    channels: PositiveInt = 2  # C of the sequence
    condition_dim: NonNegativeInt = 0  # width D of the condition vector; 0: unconditional
    base_channels: PositiveInt = 64  # 1.2M parameters; multiples of 16 keep every convolution on full vector registers
    channel_mults: ChannelMults = (1.0, 1.5, 2.0, 2.0)  # width of each stage over base_channels
    groups: PositiveInt = 16  # GroupNorm groups; divides the default widths 64, 96, 128, 128
    attention_heads: PositiveInt = 4  # heads of the self-attention in the coarsest stage
    embedding_dim: PositiveInt = 128  # of t and the condition; wider costs parameters in every block's FiLM
    dropout: Fraction = 0.1  # dropout rate of the residual blocks
    self_condition: bool = False  # whether the previous estimate of x_0 is an input

    def __post_init__(self) -> None:
        check(self)
        even = self.embedding_dim % 2 == 0
        require(even, "`embedding_dim` to be even", f"embedding_dim={self.embedding_dim}", "choose an even one")
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
