"""Network of a detector: a temporal convolutional trunk fused with a network on kinematic features, and three heads.

The trunk is a pyramid of residual stages over the standardised steps, each half as long as the one before, and returns
the mean and the maximum over the valid steps of each stage. Together with the features they are fused to one vector,
which two heads read: the logit of a bot, and an embedding of the embodiment (human or bot).

The logit is a sum: a linear function of the features, a network on them, and a correction from the fused vector. All
but the linear one are dropped for a share of the training rows, so that the others do not depend on them. Far from the
training data the output of a network is arbitrary, while a linear function extrapolates; so the correction from the
fused vector is bounded and fades with the distance from users, which is the last feature.

The embedding of the task (distance and direction) reads the features and the direction, not the fused vector: that one
is trained to separate bots from users, and this information can hardly be removed from it.

Nothing normalises over a batch, so a row's output is a function of its own valid steps and features; values under the
mask do not reach it, and more padding changes nothing.

References: Wide & Deep Learning for Recommender Systems (Cheng et al., 2016), section 3, arXiv:1606.07792, for the sum.
"""

import itertools
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.detector.config import DetectorModelConfig
from trainables.nn.layers import Convolution, halve, hold

FADE = 0.2  # width of the fading
LOWEST = -1e4  # value of padded steps in a maximum


class Outputs(NamedTuple):
    """Outputs of the network for each movement; the probability of a bot is the sigmoid of the logit."""

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
    """Trunk from steps and features to one vector per movement."""

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
    """Trunk, its heads, and the parts that read the features alone."""

    def __init__(self, channels: int, features: int, config: DetectorModelConfig) -> None:
        super().__init__()
        width, embedding = config.fused_width, config.embedding_dim
        self.bound, self.drop, self.reach = config.deep_bound, config.drop_part, config.reach
        self.trunk = Trunk(channels, features, config)
        self.wide = nn.Linear(features, 1)
        self.shallow = _head(features, config.features_width, 1, nn.Dropout(config.dropout))
        self.deep = nn.Linear(width, 1)
        self.task = _head(features + 2, config.task_width, embedding)
        self.embodiment = _head(width, width, embedding)

    def forward(
        self,
        z: Float[Tensor, "B T C"],
        mask: Bool[Tensor, "B T"],
        features: Float[Tensor, "B F"],
        direction: Float[Tensor, "B 2"],
    ) -> Outputs:
        fused = self.trunk(z, mask, features)
        near = torch.sigmoid((self.reach - features[:, -1:]) / FADE)
        deep = self.bound * torch.tanh(self.deep(fused) / self.bound) * near
        logit = self.wide(features) + self._dropped(self.shallow(features)) + self._dropped(deep)
        return Outputs(logit.squeeze(1), self.task(torch.cat([features, direction], dim=1)), self.embodiment(fused))

    def _dropped(self, part: Float[Tensor, "B 1"]) -> Float[Tensor, "B 1"]:
        """Return the part, dropped for random rows in training."""
        return part * (torch.rand_like(part) >= self.drop) if self.training else part


def _head(width: int, hidden: int, out: int, *between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), *between, nn.Linear(hidden, out))
