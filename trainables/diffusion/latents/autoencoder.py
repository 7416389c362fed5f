"""A temporal autoencoder: sequences of T steps to T/4 latent steps and back.

A linear map folds each four steps into a latent step and its transpose unfolds them: with 8 channels for 2 this loses
nothing before any training. A path of residual convolutions beside it, two strides of 2 down and two doublings up, adds
what is not linear. There is no attention, so that a latent step speaks of its neighbourhood. Latents are standardised
per channel with the statistics of the training split: a diffusion over them sees mean 0 and variance 1.

What stands at padded steps never reaches a valid one, neither in the latents nor in the reconstruction, and more
padding changes nothing. A latent step is valid if one of its four steps is.

References: High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022), section 3.1,
arXiv:2112.10752; Deep Compression Autoencoder (Chen et al., 2024), section 3.2, for the shortcut, arXiv:2410.10733.
"""

import itertools

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.data.dataset import Batch, Sequences
from trainables.diffusion.latents.config import LatentConfig
from trainables.nn.layers import Convolution, ModulatedNorm, double, halve, hold

STAGES = 2  # each halves the time
FACTOR = 2**STAGES  # steps per latent step

Valid = Tensor | None  # [B, T, 1] at one resolution, see models/layers.py


class Block(nn.Module):
    """h + 2 x (GroupNorm -> SiLU -> convolution)."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = ModulatedNorm(channels, groups), Convolution(channels, channels)
        self.norm2, self.conv2 = ModulatedNorm(channels, groups), Convolution(channels, channels)

    def forward(self, h: Float[Tensor, "B T C"], valid: Float[Tensor, "B T 1"] | None) -> Float[Tensor, "B T C"]:
        inner = self.conv1(self.norm1(h, valid))
        return h + hold(self.conv2(self.norm2(inner, valid)), valid)


class Encoder(nn.Module):
    """Sequences to latents: four steps folded linearly, plus a path of blocks and stride-2 convolutions."""

    def __init__(self, channels_in: int, channels_out: int, widths: tuple[int, ...], groups: int) -> None:
        super().__init__()
        self.stem = Convolution(channels_in, widths[0])
        self.blocks = nn.ModuleList(Block(width, groups) for width in widths)
        self.downs = nn.ModuleList(Convolution(*pair, stride=2) for pair in itertools.pairwise(widths))
        self.head = Convolution(widths[-1], channels_out)
        self.fold = nn.Linear(FACTOR * channels_in, channels_out, bias=False)
        nn.init.zeros_(self.head.weight)
        nn.init.orthogonal_(self.fold.weight)

    def forward(self, z: Float[Tensor, "B T C"], levels: list[Valid]) -> Float[Tensor, "B T4 Cz"]:
        h = self.blocks[0](hold(self.stem(z), levels[0]), levels[0])
        for down, block, valid in zip(self.downs, self.blocks[1:], levels[1:], strict=True):
            h = block(hold(down(h), valid), valid)
        return hold(self.head(h) + self.fold(z.unflatten(1, (-1, FACTOR)).flatten(2)), levels[-1])


class Decoder(nn.Module):
    """Latents to sequences: the encoder mirrored, nearest-neighbour doubling before its convolutions."""

    def __init__(self, channels_in: int, channels_out: int, widths: tuple[int, ...], groups: int) -> None:
        super().__init__()
        self.stem = Convolution(channels_in, widths[0])
        self.blocks = nn.ModuleList(Block(width, groups) for width in widths)
        self.ups = nn.ModuleList(Convolution(*pair) for pair in itertools.pairwise(widths))
        self.head = Convolution(widths[-1], channels_out)
        self.unfold = nn.Linear(channels_in, FACTOR * channels_out, bias=False)
        nn.init.zeros_(self.head.weight)

    def forward(self, latents: Float[Tensor, "B T4 Cz"], levels: list[Valid]) -> Float[Tensor, "B T C"]:
        coarsest, *finer = levels[::-1]
        h = self.blocks[0](hold(self.stem(latents), coarsest), coarsest)
        for up, block, valid in zip(self.ups, self.blocks[1:], finer, strict=True):
            h = block(hold(up(double(h)), valid), valid)
        linear = self.unfold(latents).unflatten(2, (FACTOR, -1)).flatten(1, 2)
        return hold(self.head(h) + linear, levels[0])


class Autoencoder(nn.Module):
    """Encoder and decoder with the statistics of the latents; `fit.py` trains it."""

    mean: Tensor
    std: Tensor

    def __init__(self, sequence_channels: int, config: LatentConfig) -> None:
        super().__init__()
        self.sequence_channels, self.channels = sequence_channels, config.channels
        widths = (config.width,) + (2 * config.width,) * STAGES
        self.encoder = Encoder(sequence_channels, config.channels, widths, config.groups)
        self.decoder = Decoder(config.channels, sequence_channels, widths[::-1], config.groups)
        with torch.no_grad():
            self.decoder.unfold.weight.copy_(self.encoder.fold.weight.T)
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("std", torch.ones(config.channels))

    def encode(
        self, z: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B T4 Cz"], Bool[Tensor, "B T4"]]:
        """Standardised latents of ceil(T / 4) steps, zero at invalid ones, and their mask.

        Raises ValueError if `z` has not the trained number of channels or the mask another shape.
        """
        codes, coarse = self._codes(z, mask)
        return ((codes - self.mean) / self.std).masked_fill(~coarse[:, :, None], 0.0), coarse

    def decode(self, latents: Float[Tensor, "B T4 Cz"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T C"]:
        """Sequences from standardised latents; `mask` is the one of the sequences, its T decides theirs.

        Raises ValueError if the latents have not ceil(T / 4) steps of the trained channels.
        """
        length = mask.shape[1]
        expected = (len(mask), -(-length // FACTOR), self.channels)
        if latents.shape != expected:
            raise ValueError(
                f"expected `latents` to be [B, ceil(T/{FACTOR}), Cz] = {expected}, but got {tuple(latents.shape)}"
            )
        coarse = self.latent_mask(mask)
        codes = (latents * self.std + self.mean).masked_fill(~coarse[:, :, None], 0.0)
        return self._sequences(codes, mask)

    def latent_mask(self, mask: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T4"]:
        """The valid latent steps of sequences: those with a valid step among their four."""
        return coarser(padded(mask))[-1]

    def forward(
        self, z: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"], eps: Float[Tensor, "B T4 Cz"]
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B T4 Cz"]]:
        """The training pass: the reconstruction from codes disturbed by `eps`, and the undisturbed codes."""
        codes, coarse = self._codes(z, mask)
        return self._sequences(codes + eps * coarse[:, :, None], mask), codes

    def _codes(self, z: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Latents before standardisation, zero at invalid steps, and their mask."""
        if z.shape[2] != self.sequence_channels or mask.shape != z.shape[:2]:
            raise ValueError(
                f"expected `z` to be [B, T, {self.sequence_channels}] and `mask` [B, T], "
                f"but got {tuple(z.shape)} and {tuple(mask.shape)}"
            )
        masks = coarser(padded(mask))
        # no product: what stands under the mask may be NaN
        h = F.pad(z.masked_fill(~mask[:, :, None], 0.0), (0, 0, 0, -z.shape[1] % FACTOR))
        codes: Tensor = self.encoder(h, _levels(masks, z.dtype))
        return codes, masks[-1]

    def _sequences(self, codes: Tensor, mask: Tensor) -> Tensor:
        z: Tensor = self.decoder(codes, _levels(coarser(padded(mask)), codes.dtype))
        return z[:, : mask.shape[1]]


def in_latents(autoencoder: Autoencoder | None, batch: Batch) -> Batch:
    """The batch in the space of the diffusion, where it lay before; itself if that is the space of the sequences."""
    if autoencoder is None:
        return batch
    (z, mask), condition = batch
    place = autoencoder.mean.device
    latents, coarse = autoencoder.encode(z.to(place), mask.to(place))
    return Batch(Sequences(latents.to(z.device), coarse.to(z.device)), condition)


def padded(mask: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T2"]:
    """The mask with invalid steps behind it up to a multiple of `FACTOR`."""
    return F.pad(mask, (0, -mask.shape[1] % FACTOR))


def coarser(mask: Bool[Tensor, "B T"]) -> list[Bool[Tensor, "B T2"]]:
    """The mask at every resolution, finest first."""
    masks = [mask]
    for _ in range(STAGES):
        masks.append(halve(masks[-1]))
    return masks


def _levels(masks: list[Tensor], dtype: torch.dtype) -> list[Valid]:
    """The valid steps at every resolution; None everywhere if all of them are."""
    if bool(masks[0].all()):
        return [None] * len(masks)
    return [mask[:, :, None].to(dtype) for mask in masks]
