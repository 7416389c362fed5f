"""Generator and critic of the adversarial baseline: temporal convolutions over sequences with a mask.

The critic runs down a pyramid of stages, each half as long as the one before, and scores the means over the valid steps
of all of them: tremor and rests show in the finest, the plan of a movement in the coarsest. The generator runs the
mirrored pyramid up, from a whole-movement plan to single steps, with noise of its own at every stage. The condition,
and in the generator a latent vector, modulates every block by FiLM.

Both are smooth twice over, which the gradient penalty needs, and neither normalises over a batch: a row's output is a
function of its own valid steps, condition and noise. Nothing under the mask reaches a valid step, and more padding
changes nothing.

References: Improved Training of Wasserstein GANs (Gulrajani et al., 2017), section 4, arXiv:1704.00028.
"""

import itertools
import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.data.splits.statistics import Statistics
from trainables.gan.config import GanModelConfig
from trainables.nn.layers import Convolution, double, halve, hold

PLACES = 7  # channels that tell a step where it stands
SMOOTH = 1e-4  # px^2 under square roots, which have no second derivative at 0
LONGEST = 12.0  # companded length of a step that no screen holds: an untrained generator may ask for more than e^80 px


class Block(nn.Module):
    """(h + convolution(SiLU(FiLM(convolution(SiLU(h)))))) / sqrt(2), padded steps zero.

    FiLM is u (1 + scale) + shift. There is no normalisation to keep the residual sum in range, hence the sqrt(2).
    """

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, channels)
        self.conv2 = Convolution(channels, channels)
        self.film = nn.Linear(embedding, 2 * channels)

    def forward(
        self, h: Float[Tensor, "B T C"], valid: Float[Tensor, "B T 1"], embedding: Float[Tensor, "B E"]
    ) -> Float[Tensor, "B T C"]:
        scale, shift = self.film(embedding)[:, None].chunk(2, dim=2)
        inner = self.conv1(F.silu(h)) * (1.0 + scale) + shift
        return (h + hold(self.conv2(hold(F.silu(inner), valid)), valid)) * math.sqrt(0.5)


class Stage(nn.Module):
    """Blocks one after the other, at one resolution."""

    def __init__(self, channels: int, config: GanModelConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, config.embedding_dim) for _ in range(config.blocks))

    def forward(
        self, h: Float[Tensor, "B T C"], valid: Float[Tensor, "B T 1"], embedding: Float[Tensor, "B E"]
    ) -> Float[Tensor, "B T C"]:
        for block in self.blocks:
            h = block(h, valid, embedding)
        return h


class Critic(nn.Module):
    """f(z, condition): high for movements of users, low for generated ones.

    Beside the steps it sees the path that they add up to. From standardised steps alone a convolution would have to
    learn sums of exponentials before it could tell that a movement misses its end.
    """

    mean: Tensor
    std: Tensor
    scale_px: Tensor

    def __init__(self, statistics: Statistics, config: GanModelConfig) -> None:
        super().__init__()
        widths, width, given = config.widths, config.embedding_dim, statistics.condition_width
        self.multiple = config.length_multiple
        for name in ("mean", "std", "scale_px"):  # the checkpoint has them already
            self.register_buffer(name, getattr(statistics, name).float(), persistent=False)
        self.embedding = _two_layers(given, width)
        self.stem = Convolution(len(statistics.mean) + 2 + PLACES + given, widths[0], kernel=5)
        self.stages = nn.ModuleList(Stage(channels, config) for channels in widths)
        self.downs = nn.ModuleList(Convolution(above, below, stride=2) for above, below in itertools.pairwise(widths))
        self.head = nn.Sequential(nn.Linear(sum(widths) + width, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(
        self, z: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"], condition: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B"]:
        mask = padded(mask, self.multiple)
        levels = _levels(mask, len(self.stages), z.dtype)
        z = _held(z, mask)
        embedding = F.silu(self.embedding(condition))
        path = companded_path(z * self.std + self.mean, levels[0], self.scale_px) / self.std[:2]
        h = hold(self.stem(torch.cat([z, path, known(mask, condition)], dim=2)), levels[0])
        means = [embedding]
        for level, stage in enumerate(self.stages):
            if level:
                h = hold(self.downs[level - 1](h), levels[level])
            h = stage(h, levels[level], embedding)
            means.append(h.sum(dim=1) / levels[level].sum(dim=1))
        score: Tensor = self.head(torch.cat(means, dim=1))
        return score.squeeze(1)


class MovementNetwork(nn.Module):
    """G(latent, noise, condition): standardised sequences, zero at padded steps."""

    def __init__(self, channels: int, condition_dim: int, config: GanModelConfig) -> None:
        super().__init__()
        self.config = config
        widths, width = config.widths, config.embedding_dim
        self.embedding = _two_layers(condition_dim + config.latent_dim, width)
        self.stems = nn.ModuleList(
            Convolution(config.noise_channels + PLACES + condition_dim, w, kernel=1) for w in widths
        )
        self.stages = nn.ModuleList(Stage(channels, config) for channels in widths)
        self.ups = nn.ModuleList(Convolution(below, above) for above, below in itertools.pairwise(widths))
        self.head = Convolution(widths[0], channels)

    def forward(
        self,
        latent: Float[Tensor, "B L"],
        noise: Float[Tensor, "B T K"],
        mask: Bool[Tensor, "B T"],
        condition: Float[Tensor, "B D"],
    ) -> Float[Tensor, "B T C"]:
        length = mask.shape[1]
        mask = padded(mask, self.config.length_multiple)
        levels = _levels(mask, len(self.stages), noise.dtype)
        embedding = F.silu(self.embedding(torch.cat([latent, condition], dim=1)))
        given = torch.cat([_held(noise, mask), known(mask, condition)], dim=2)
        top = len(self.stages) - 1
        h = self.stages[top](self._fresh(given, levels, top), levels[top], embedding)
        for level in reversed(range(top)):
            coarser = hold(self.ups[level](double(h)), levels[level])
            h = (self._fresh(given, levels, level) + coarser) * math.sqrt(0.5)
            h = self.stages[level](h, levels[level], embedding)
        return hold(self.head(F.silu(h)), levels[0])[:, :length]

    def _fresh(self, given: Float[Tensor, "B T G"], levels: list[Tensor], level: int) -> Float[Tensor, "B T2 C"]:
        """Return the noise, places and condition of one stage: those of every second, fourth, ... step."""
        return hold(self.stems[level](given[:, :: 2**level]), levels[level])


def padded(mask: Bool[Tensor, "B T"], multiple: int) -> Bool[Tensor, "B T2"]:
    """The mask with invalid steps behind it up to a multiple of `multiple`."""
    return F.pad(mask, (0, -mask.shape[1] % multiple))


def _held(x: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T2"]) -> Float[Tensor, "B T2 C"]:
    """Return values as long as the mask, zero at its invalid steps: no product, since the value there may be NaN."""
    return F.pad(x, (0, 0, 0, mask.shape[1] - x.shape[1])).masked_fill(~mask[:, :, None], 0.0)


def companded_path(
    companded: Float[Tensor, "B T C"], valid: Float[Tensor, "B T 1"], scale_px: Float[Tensor, ""]
) -> Float[Tensor, "B T 2"]:
    """The positions after each step, companded as the steps are: compand(sum of expand(u_i) for i <= t), 0 at padding.

    `trainables.data.companding` with its lengths r smoothed to sqrt(r^2 + SMOOTH), and steps of at most `LONGEST`.
    """
    u = companded[..., :2]
    r = _smooth_length(u)
    position = (scale_px * torch.sinh(r.clamp(max=LONGEST)) / r * u * valid).cumsum(dim=1)
    r = _smooth_length(position)
    path: Tensor = torch.asinh(r / scale_px) / r * position * valid
    return path


def _smooth_length(vectors: Float[Tensor, "B T 2"]) -> Float[Tensor, "B T 1"]:
    return (vectors.square().sum(dim=2, keepdim=True) + SMOOTH).sqrt()


def known(mask: Bool[Tensor, "B T"], condition: Float[Tensor, "B D"]) -> Float[Tensor, "B T K"]:
    """Return the inputs of every valid step: its place and the condition; zero at padded steps.

    By FiLM alone the condition starts too weak: in some hundred steps neither network learns to use it.
    """
    repeated = condition[:, None].masked_fill(~mask[:, :, None], 0.0)
    return torch.cat([places(mask, condition.dtype), repeated], dim=2)


def places(mask: Bool[Tensor, "B T"], dtype: torch.dtype) -> Float[Tensor, "B T P"]:
    """Return the encoding of step i: sines and cosines of pi u, 2 pi u, 4 pi u at u = (i + 1/2) / length, and 1.

    The convolutions have no biases: the constant stands for the stem's. Zero at padded steps.
    """
    step = torch.arange(mask.shape[1], device=mask.device, dtype=dtype) + 0.5
    u = step / mask.sum(dim=1, keepdim=True)
    angles = math.pi * u[:, :, None] * torch.tensor([1.0, 2.0, 4.0], device=mask.device, dtype=dtype)
    known = torch.cat([angles.sin(), angles.cos(), torch.ones_like(u)[:, :, None]], dim=2)
    return known.masked_fill(~mask[:, :, None], 0.0)


def _levels(mask: Bool[Tensor, "B T"], count: int, dtype: torch.dtype) -> list[Tensor]:
    """The valid steps at each stage [B, T / 2^level, 1], finest first."""
    masks = [mask]
    for _ in range(count - 1):
        masks.append(halve(masks[-1]))
    return [each[:, :, None].to(dtype) for each in masks]


def _two_layers(width_in: int, width_out: int) -> nn.Sequential:
    """Two layers that keep the variance of what they are given, as the default initialisation does not.

    References: Delving Deep into Rectifiers (He et al., 2015), eq. 10, arXiv:1502.01852.
    """
    first, second = nn.Linear(width_in, width_out), nn.Linear(width_out, width_out)
    for layer in (first, second):
        nn.init.kaiming_normal_(layer.weight)
    return nn.Sequential(first, nn.SiLU(), second)
