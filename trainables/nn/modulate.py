"""GroupNorm over the valid steps, FiLM, SiLU and channel dropout as one differentiable function.

One function, because between two convolutions the time goes into passes over memory: forward and backward need nine
of them here, where the composition of the four layers needs more than twenty. On CPUs `torch.nn.functional.group_norm`
alone costs more than the whole of this.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

EPS = 1e-5


def modulate(
    h: Float[Tensor, "B T C"],
    gain: Float[Tensor, "B C"],
    offset: Float[Tensor, "B C"],
    groups: int,
    valid: Float[Tensor, "B T 1"] | None = None,
    keep: Float[Tensor, "B C"] | None = None,
    *,
    overwrite: bool = False,
) -> Float[Tensor, "B T C"]:
    """out = keep * silu((h - mean_g) / sqrt(var_g + EPS) * gain + offset) at valid steps, 0 at the others.

    mean_g and var_g (biased) are over the valid steps and the channels of group g of one sequence. `valid` is 1 at
    valid steps and 0 at padded ones, None if there are no padded ones; `keep` are the factors of channel dropout.
    `h` must be finite everywhere, its values at padded steps play no part. Can be differentiated once.

    Args:
        overwrite: Whether the result may take the place of `h`, which it does where nothing is differentiated: fresh
            memory costs as much as the rest. No bit of it changes.

    References: Group Normalization (Wu & He, 2018), arXiv:1803.08494; FiLM (Perez et al., 2018), arXiv:1709.07871.
    """
    if not torch.is_grad_enabled() and h.dtype == gain.dtype:
        return _in_place(h if overwrite else h.clone(), gain, offset, groups, valid, keep)
    out: Tensor = _Modulate.apply(h, gain, offset, groups, valid, keep)  # type: ignore[no-untyped-call]
    return out


def _in_place(
    h: Tensor, gain: Tensor, offset: Tensor, groups: int, valid: Tensor | None, keep: Tensor | None
) -> Tensor:
    """Compute the forward pass of `_Modulate` over `h`, operation by operation the same, and keep nothing of it."""
    count: Tensor | int = h.shape[1] if valid is None else valid.sum(1).clamp(min=1.0)
    h.sub_((_group_mean(_sum_steps(h, valid), groups) / count)[:, None])
    h = h if valid is None else h.mul_(valid)
    r = torch.rsqrt(_group_mean((h * h).sum(1), groups) / count + EPS)
    torch.addcmul(offset[:, None], h, (gain * r)[:, None], out=h)
    F.silu(h, inplace=True)
    for factor in (valid, None if keep is None else keep[:, None]):
        h = h if factor is None else h.mul_(factor)
    return h


class _Modulate(torch.autograd.Function):
    """Group norm, modulation and SiLU: d = h - mean_g, r = 1/sqrt(var_g + EPS), out = keep silu(d r gain + offset)."""

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, gain: Tensor, offset: Tensor, groups: int, valid: Tensor | None, keep: Tensor | None
    ) -> Tensor:
        count: Tensor | int = h.shape[1] if valid is None else valid.sum(1).clamp(min=1.0)
        d = h - (_group_mean(_sum_steps(h, valid), groups) / count)[:, None]
        d = d if valid is None else d.mul_(valid)
        z = d * d  # a buffer for the squares first: warm memory is cheaper than fresh memory
        r = torch.rsqrt(_group_mean(z.sum(1), groups) / count + EPS)
        torch.addcmul(offset[:, None], d, (gain * r)[:, None], out=z)
        out = F.silu(z)
        for factor in (valid, None if keep is None else keep[:, None]):
            out = out if factor is None else out.mul_(factor)
        ctx.save_for_backward(d, r, z, gain, valid, keep)
        ctx.groups, ctx.count, ctx.dtype = groups, count, h.dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients; with g = dL/dz: dL/dh = r (gain g - mean_g(gain g) - d r^2 mean_g(gain g d))."""
        d, r, z, gain, valid, keep = ctx.saved_tensors
        g = torch.ops.aten.silu_backward(grad, z)
        grad_h = g * d  # likewise a buffer
        sum_g, sum_gd = _sum_steps(g, valid), grad_h.sum(1)
        if keep is not None:  # constant over time, so it enters the sums, and g through the gain
            sum_g, sum_gd = sum_g * keep, sum_gd * keep
        mean_g = _group_mean(gain * sum_g, ctx.groups) / ctx.count
        mean_gd = _group_mean(gain * sum_gd, ctx.groups) / ctx.count
        slope = gain * r if keep is None else gain * r * keep
        torch.addcmul((-r * mean_g)[:, None], d, (-(r**3) * mean_gd)[:, None], out=grad_h).addcmul_(g, slope[:, None])
        grad_h = grad_h if valid is None else grad_h.mul_(valid)
        return grad_h.to(ctx.dtype), sum_gd * r, sum_g, None, None, None


def _sum_steps(h: Float[Tensor, "B T C"], valid: Float[Tensor, "B T 1"] | None) -> Float[Tensor, "B C"]:
    """The sum over valid steps; the product of matrices spares a masked copy."""
    return h.sum(1) if valid is None else torch.bmm(valid.transpose(1, 2), h).squeeze(1)


def _group_mean(per_channel: Float[Tensor, "B C"], groups: int) -> Float[Tensor, "B C"]:
    """The mean over the channels of each group, repeated for each of them."""
    grouped = per_channel.view(len(per_channel), groups, -1)
    return grouped.mean(2, keepdim=True).expand_as(grouped).flatten(1)
