"""UNet over time: the denoiser that predicts v from a noisy sequence, the diffusion time and a condition.

Four stages (by the length of `channel_mults`) of one residual block each, stride 2 between stages, self-attention over
time at the coarsest one, and the mirrored path up with additive skips, which keep the parameter count at 1-3M.
The sum of the embeddings of t and of the condition modulates every block by FiLM. With self-conditioning the previous
estimate of x_0 stands beside x_t as further channels, zero where there is none yet.

What stands at padded steps never reaches a valid one, more padding changes nothing, and sequences of one batch do not
see each other, so a sequence's output is a function of its own valid steps alone.

References: U-Net (Ronneberger et al., 2015), arXiv:1505.04597; Denoising Diffusion Probabilistic Models
(Ho et al., 2020), appendix B, arXiv:2006.11239; Classifier-Free Diffusion Guidance (Ho & Salimans, 2022),
arXiv:2207.12598; Analog Bits (Chen et al., 2023), section 2.2 on self-conditioning, arXiv:2208.04202.
"""

import itertools

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.diffusion.models.config import UNetConfig
from trainables.nn.layers import (
    Convolution,
    ModulatedNorm,
    ResidualBlock,
    SelfAttention,
    double,
    halve,
    hold,
    plus,
    timestep_embedding,
)

Valid = Tensor | None  # [B, T, 1] at one resolution, see layers.py


class Embedding(nn.Module):
    """Sum of the embeddings of diffusion time and condition, through SiLU: what FiLM modulates the blocks with."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.condition_dim, self.width = config.condition_dim, config.embedding_dim
        self.time = _two_layers(self.width, self.width)
        if config.condition_dim:
            self.condition = _two_layers(config.condition_dim, self.width)
            self.null = nn.Parameter(torch.empty(self.width).normal_(std=0.02))

    def forward(
        self,
        t: Real[Tensor, "B"],
        condition: Float[Tensor, "B D"] | None,
        drop_condition: Bool[Tensor, "B"] | None,
        dtype: torch.dtype,
    ) -> Float[Tensor, "B E"]:
        embedding: Tensor = self.time(timestep_embedding(t, self.width, dtype))
        if self.condition_dim:
            embedding = embedding + self._embed(condition, drop_condition)
        elif condition is not None:
            raise ValueError(
                f"expected no `condition` of an unconditional UNet, but got one of width {condition.shape[-1]}; "
                "set `condition_dim` or leave the condition out"
            )
        return F.silu(embedding)

    def _embed(
        self, condition: Float[Tensor, "B D"] | None, drop_condition: Bool[Tensor, "B"] | None
    ) -> Float[Tensor, "#B E"]:
        """The condition's embedding; the learned null embedding where there is none or it is dropped."""
        if condition is None:
            return self.null[None]
        if condition.shape[-1] != self.condition_dim:
            raise ValueError(
                f"expected `condition` to have width condition_dim={self.condition_dim}, "
                f"but got {condition.shape[-1]}; build it as for training"
            )
        embedded: Tensor = self.condition(condition)
        return embedded if drop_condition is None else torch.where(drop_condition[:, None], self.null, embedded)


class UNet1D(nn.Module):
    """v_hat(x_t, t, condition) for sequences with a mask; zero at padded steps and, before training, everywhere."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        widths = config.widths
        finer = list(itertools.pairwise(widths))
        self.stem = Convolution(config.channels * (2 if config.self_condition else 1), widths[0])
        self.down_blocks = nn.ModuleList(self._block(*pair) for pair in [(widths[0], widths[0]), *finer])
        self.downs = nn.ModuleList(Convolution(above, above, stride=2) for above, _ in finer)
        self.middle = self._block(widths[-1], widths[-1])
        self.attention = SelfAttention(widths[-1], config.attention_heads)
        self.ups = nn.ModuleList(Convolution(below, above) for above, below in finer)
        self.up_blocks = nn.ModuleList(self._block(width, width) for width in widths)
        self.last_norm = ModulatedNorm(widths[0], config.groups)
        self.head = Convolution(widths[0], config.channels)
        nn.init.zeros_(self.head.weight)  # so that training starts from predicting zero, the mean of v

    def _block(self, channels_in: int, channels_out: int) -> ResidualBlock:
        config = self.config
        return ResidualBlock(channels_in, channels_out, config.groups, config.embedding_dim, config.dropout)

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        t: Real[Tensor, "B"],
        mask: Bool[Tensor, "B T"],
        condition: Float[Tensor, "B D"] | None = None,
        drop_condition: Bool[Tensor, "B"] | None = None,
        estimate: Float[Tensor, "B T C"] | None = None,
    ) -> Float[Tensor, "B T C"]:
        """Predict at every valid step.

        `t` is the diffusion time in 0..999, `mask` is true at valid steps. Rows of `drop_condition` that are true, and
        all rows when `condition` is None, use the learned null embedding. `estimate` is the previous estimate of x_0;
        a network without self-conditioning does not look at it.

        Raises ValueError if `x` has not `config.channels` channels, the mask another shape than `x`, or the condition
        not the width `config.condition_dim`.
        """
        self._check(x, mask)
        length = x.shape[1]
        extra = -length % self.config.length_multiple
        h, mask = F.pad(self._input(x, estimate), (0, 0, 0, extra)), F.pad(mask, (0, extra))
        levels = self._levels(mask, x.dtype)
        if levels[0] is not None:
            h = h.masked_fill(~mask[:, :, None], 0.0)  # no product: what stands under the mask may be NaN
        embedding = self.embedding(t, condition, drop_condition, x.dtype)
        h = self._decode(*self._encode(h, levels, embedding), levels, embedding)
        out = hold(self.head(self.last_norm(h, levels[0], overwrite=True)), levels[0], overwrite=True)
        return out[:, :length]

    def _input(self, x: Float[Tensor, "B T C"], estimate: Float[Tensor, "B T C"] | None) -> Float[Tensor, "B T C2"]:
        if not self.config.self_condition:
            return x
        return torch.cat([x, torch.zeros_like(x) if estimate is None else estimate.to(x.dtype)], dim=2)

    def _levels(self, mask: Bool[Tensor, "B T"], dtype: torch.dtype) -> list[Valid]:
        """The valid steps at each stage, finest first; None everywhere if all of them are."""
        if bool(mask.all()):
            return [None] * len(self.up_blocks)
        masks = [mask]
        for _ in self.downs:
            masks.append(halve(masks[-1]))
        return [each[:, :, None].to(dtype) for each in masks]

    def _encode(self, h: Tensor, levels: list[Valid], embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Run the path down and the bottleneck; return its output and the skips, finest first."""
        h = hold(self.stem(h), levels[0], overwrite=True)
        skips = []
        for stage, block in enumerate(self.down_blocks):
            if stage:
                h = hold(self.downs[stage - 1](h), levels[stage], overwrite=True)
            h = block(h, levels[stage], embedding)
            skips.append(h)
        h = self.attention(self.middle(h, levels[-1], embedding), levels[-1])
        return h, skips

    def _decode(self, h: Tensor, skips: list[Tensor], levels: list[Valid], embedding: Tensor) -> Tensor:
        """Run the path up, coarsest stage first, adding the skip of each stage before its block."""
        for stage in reversed(range(len(skips))):
            if stage < len(self.ups):
                h = hold(self.ups[stage](double(h)), levels[stage], overwrite=True)
            h = self.up_blocks[stage](plus(h, skips[stage]), levels[stage], embedding)
        return h

    def _check(self, x: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"]) -> None:
        if x.shape[2] != self.config.channels:
            raise ValueError(
                f"expected `x` to have {self.config.channels} channels, but got {x.shape[2]}; set `channels`"
            )
        if mask.shape != x.shape[:2]:
            raise ValueError(
                f"expected `mask` to be [B, T] = {tuple(x.shape[:2])}, but got {tuple(mask.shape)}; "
                "give one flag per step"
            )


def _two_layers(width_in: int, width_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, width_out), nn.SiLU(), nn.Linear(width_out, width_out))
