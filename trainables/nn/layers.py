"""Layers of the denoiser over sequences with a mask.

A feature map is `[B, T, C]`; `valid` is 1 at valid steps and 0 at padded ones, or None if every step of every sequence
is valid. The law of every layer here: its input is zero at padded steps, and so is its output. Hence neither what
stands under the mask nor more padding can reach a valid step.
"""

import math

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.nn.modulate import modulate


def hold(
    h: Float[Tensor, "B T C"], valid: Float[Tensor, "B T 1"] | None, *, overwrite: bool = False
) -> Float[Tensor, "B T C"]:
    """Set the padded steps to zero; with `overwrite` in place, where nothing is differentiated."""
    if valid is None:
        return h
    return h.mul_(valid) if overwrite and _is_free(h, valid) else h * valid


def plus(h: Float[Tensor, "B T C"], other: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
    """Return h + other; it takes the place of `h` where nothing is differentiated."""
    return h.add_(other) if _is_free(h, other) else h + other


def _is_free(h: Tensor, other: Tensor) -> bool:
    """Whether a result may take the place of `h`: no gradient needs it, and the result is of its type."""
    return not torch.is_grad_enabled() and h.dtype == other.dtype


def halve(mask: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T//2"]:
    """A step of the coarser map is valid if either of its two finer steps is; T is even."""
    return mask[:, ::2] | mask[:, 1::2]


def double(h: Float[Tensor, "B T C"]) -> Float[Tensor, "B 2*T C"]:
    """Nearest-neighbour upsampling: each step twice."""
    return h.unsqueeze(2).expand(-1, -1, 2, -1).flatten(1, 2)


def timestep_embedding(t: Real[Tensor, "B"], dim: int, dtype: torch.dtype) -> Float[Tensor, "B dim"]:
    """Sines and cosines of t at dim/2 frequencies spaced geometrically from 1 down to 1/10000; dim is even.

    References: Attention Is All You Need (Vaswani et al., 2017), section 3.5, arXiv:1706.03762.
    """
    exponents = torch.linspace(0.0, 1.0, dim // 2, dtype=dtype, device=t.device)
    angles = t.to(dtype)[:, None] * torch.exp(-math.log(10_000.0) * exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Convolution(nn.Module):
    """Convolution over time with zeros beyond the ends: T steps in, T/stride out.

    The two-dimensional convolution of height one over channels-last memory is the fastest one on CPUs, and `[B, T, C]`
    is that memory. The weight is stored `[out, kernel, in]` for the same reason: no copy, and contiguous for files.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.padding = (1, stride), (0, kernel // 2)
        bound = 1.0 / math.sqrt(kernel * channels_in)
        self.weight = nn.Parameter(torch.empty(channels_out, kernel, channels_in).uniform_(-bound, bound))

    def forward(self, h: Float[Tensor, "B T C"]) -> Float[Tensor, "B T2 C2"]:
        weight = self.weight.transpose(1, 2).unsqueeze(2)
        out = F.conv2d(h.transpose(1, 2).unsqueeze(2), weight, None, self.stride, self.padding)
        return out.squeeze(2).transpose(1, 2)


class ModulatedNorm(nn.Module):
    """GroupNorm over valid steps -> FiLM -> SiLU -> channel dropout, padded steps set to zero.

    FiLM turns the affine part gamma, beta into gamma (1 + scale), beta (1 + scale) + shift.

    Dropout zeroes whole channels of a sequence with probability p and scales the others by 1/(1-p): one draw per
    (sequence, channel) instead of one per element, since draws are serial on CPUs (a third of a training step).

    References: Efficient Object Localization Using Convolutional Networks (Tompson et al., 2015), arXiv:1411.4280.
    """

    def __init__(self, channels: int, groups: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.groups, self.dropout = groups, dropout
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(
        self,
        h: Float[Tensor, "B T C"],
        valid: Float[Tensor, "B T 1"] | None,
        film: Float[Tensor, "B 2*C"] | None = None,
        *,
        overwrite: bool = False,
    ) -> Float[Tensor, "B T C"]:
        """Return the modulated `h`; for `overwrite` see `modulate`."""
        gain, offset = self.weight.expand(len(h), -1), self.bias.expand(len(h), -1)
        if film is not None:
            scale, shift = film.chunk(2, dim=1)
            gain, offset = torch.addcmul(gain, gain, scale), torch.addcmul(offset + shift, offset, scale)
        return modulate(h, gain, offset, self.groups, valid, self._keep(gain), overwrite=overwrite)

    def _keep(self, like: Float[Tensor, "B C"]) -> Float[Tensor, "B C"] | None:
        if not self.training or self.dropout == 0.0:
            return None
        return torch.empty_like(like).bernoulli_(1.0 - self.dropout).div_(1.0 - self.dropout)


class ResidualBlock(nn.Module):
    """h + 2 x (convolution -> GroupNorm -> SiLU -> dropout), FiLM at the second norm."""

    def __init__(self, channels_in: int, channels_out: int, groups: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = Convolution(channels_in, channels_out)
        self.norm1 = ModulatedNorm(channels_out, groups, dropout)
        self.conv2 = Convolution(channels_out, channels_out)
        self.norm2 = ModulatedNorm(channels_out, groups, dropout)
        self.film = nn.Linear(embedding, 2 * channels_out)
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else Convolution(channels_in, channels_out, kernel=1)

    def forward(
        self, h: Float[Tensor, "B T C"], valid: Float[Tensor, "B T 1"] | None, embedding: Float[Tensor, "B E"]
    ) -> Float[Tensor, "B T C2"]:
        inner = self.norm1(self.conv1(h), valid, overwrite=True)
        inner = self.norm2(self.conv2(inner), valid, self.film(embedding), overwrite=True)
        return plus(inner, self.shortcut(h))


class SelfAttention(nn.Module):
    """h + multi-head self-attention over time; padded steps are no keys and receive nothing.

    References: Attention Is All You Need (Vaswani et al., 2017), eq. 1, arXiv:1706.03762.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.query_key_value = nn.Linear(channels, 3 * channels, bias=False)
        self.project = nn.Linear(channels, channels, bias=False)

    def forward(self, h: Float[Tensor, "B T C"], valid: Float[Tensor, "B T 1"] | None) -> Float[Tensor, "B T C"]:
        by_head = self.query_key_value(self.norm(h)).view(*h.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = by_head.unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=_keys(valid))
        return plus(hold(self.project(attended.transpose(1, 2).flatten(2)), valid, overwrite=True), h)


def _keys(valid: Float[Tensor, "B T 1"] | None) -> Bool[Tensor, "B 1 1 T"] | None:
    """The valid steps; every step of a sequence that has none, since a softmax over no key is NaN."""
    if valid is None:
        return None
    keys = valid[:, None, None, :, 0] > 0
    return keys | ~keys.any(3, keepdim=True)
