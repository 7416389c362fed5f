"""The detector's network: a temporal convolutional trunk beside a network on neuromotor features, fused into one.

The trunk runs down a pyramid of residual stages over the standardised steps, each half as long as the one before, and
gives the mean and the largest value over the valid steps of each stage. Three heads read what both sides are fused to:
the logit of a bot, an embedding of the task (how far and in which direction) and one of the embodiment (human or bot).

The logit is the sum of a linear part, of the features alone, and of what the trunk adds, which is bounded and left out
for a share of the training rows. Far from anything it has met a trunk says whatever it likes, and a linear function
goes on as it went.

Nothing normalises over a batch, so a row's output is a function of its own valid steps and features; nothing under the
mask reaches it, and more padding changes nothing.

References: Wide & Deep Learning for Recommender Systems (Cheng et al., 2016), section 3, arXiv:1606.07792, for the sum.
"""

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.config import require
from trainables.diffusion.models.layers import Convolution, halve, hold

LOWEST = -1e4  # stands for padded steps where the largest value is taken


@dataclass(frozen=True)
class DetectorModelConfig:
    """Shape of the network."""

    width: int = 32  # channels of the finest stage; the next ones have half as many again, and twice as many
    features_width: int = 64  # of the network on features
    fused_width: int = 96
    embedding_dim: int = 32  # of the task and of the embodiment
    dropout: float = 0.1
    deep_bound: float = 6.0  # of what the trunk may add to the logit
    drop_deep: float = 0.5  # share of the training rows that the linear part has to tell alone
    frozen_from: str = ""  # checkpoint of a detector whose trunk is kept as it is: the heads alone are trained

    def __post_init__(self) -> None:
        for name in ("width", "features_width", "fused_width", "embedding_dim"):
            require(getattr(self, name) >= 2, f"`{name} >= 2`", f"{name}={getattr(self, name)}")
        for name in ("dropout", "drop_deep"):
            require(0 <= getattr(self, name) < 1, f"`0 <= {name} < 1`", f"{name}={getattr(self, name)}")
        require(0 < self.deep_bound < math.inf, "`0 < deep_bound < inf`", f"deep_bound={self.deep_bound}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage, finest first."""
        return (self.width, self.width * 3 // 2, self.width * 2)


class Outputs(NamedTuple):
    """What the network says of each movement; a probability of a bot is the logit's sigmoid."""

    logit: Float[Tensor, "B"]
    task: Float[Tensor, "B E"]
    embodiment: Float[Tensor, "B E"]


class Residual(nn.Module):
    """h + convolution(SiLU(convolution(SiLU(norm(h))))), padded steps zero; the norm is over the channels of a step."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.conv1 = Convolution(channels, channels)
        self.conv2 = Convolution(channels, channels)

    def forward(self, h: Float[Tensor, "B T C"], valid: Float[Tensor, "B T 1"]) -> Float[Tensor, "B T C"]:
        inner = hold(self.conv1(hold(F.silu(self.norm(h)), valid)), valid)
        return h + hold(self.conv2(F.silu(inner)), valid)


class Trunk(nn.Module):
    """Steps and features -> one vector per movement."""

    def __init__(self, channels: int, features: int, config: DetectorModelConfig) -> None:
        super().__init__()
        widths, width = config.widths, config.features_width
        self.stem = Convolution(channels, widths[0], kernel=7, stride=2)
        self.stages = nn.ModuleList(Residual(channels) for channels in widths)
        self.downs = nn.ModuleList(Convolution(above, below, stride=2) for above, below in itertools.pairwise(widths))
        self.features = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))
        joined = 2 * sum(widths) + width
        self.fuse = nn.Sequential(
            nn.LayerNorm(joined), nn.Dropout(config.dropout), nn.Linear(joined, config.fused_width), nn.SiLU()
        )

    def forward(
        self, z: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"], features: Float[Tensor, "B F"]
    ) -> Float[Tensor, "B W"]:
        mask = F.pad(mask, (0, -mask.shape[1] % 2 ** len(self.stages)))
        z = F.pad(z, (0, 0, 0, mask.shape[1] - z.shape[1])).masked_fill(~mask[:, :, None], 0.0)
        h, pooled = self.stem(z), [self.features(features)]
        for level, stage in enumerate(self.stages):
            mask = halve(mask)
            h = self.downs[level - 1](h) if level else h
            valid = mask[:, :, None].to(z.dtype)
            h = stage(hold(h, valid), valid)
            pooled += [h.sum(dim=1) / valid.sum(dim=1), (h + (1.0 - valid) * LOWEST).amax(dim=1)]
        fused: Tensor = self.fuse(torch.cat(pooled, dim=1))
        return fused


class DetectorNetwork(nn.Module):
    """A trunk, its heads, and the linear part beside it."""

    def __init__(self, channels: int, features: int, config: DetectorModelConfig) -> None:
        super().__init__()
        width, embedding = config.fused_width, config.embedding_dim
        self.bound, self.drop_deep = config.deep_bound, config.drop_deep
        self.trunk = Trunk(channels, features, config)
        self.wide = nn.Linear(features, 1)
        self.deep = nn.Linear(width, 1)
        self.task = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, embedding))
        self.embodiment = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, embedding))

    def forward(self, z: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"], features: Float[Tensor, "B F"]) -> Outputs:
        fused = self.trunk(z, mask, features)
        wide, deep = self.wide(features).squeeze(1), self.deep(fused).squeeze(1)
        deep = self.bound * torch.tanh(deep / self.bound)
        if self.training:
            deep = deep * (torch.rand_like(deep) >= self.drop_deep)
        return Outputs(wide + deep, self.task(fused), self.embodiment(fused))
