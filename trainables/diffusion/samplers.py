"""Samplers: from noise to data along the probability-flow path in a few network calls."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.config import require
from trainables.diffusion.noise.schedule import Schedule, signal_and_noise
from trainables.seeding import generator

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x_t [B,T,C], t [B]) -> v [B,T,C]; condition, mask and guidance are already bound."""


def trailing_times(timesteps: int, steps: int) -> Int[Tensor, "S"]:
    """`steps` diffusion times from the last one downwards, equally spaced; the first is always the noisiest.

    References: Common Diffusion Noise Schedules and Sample Steps are Flawed (Lin et al., 2023), section 3.3,
        arXiv:2305.08891.
    """
    require(1 <= steps <= timesteps, "`1 <= steps <= timesteps`", f"steps={steps}, timesteps={timesteps}")
    return (torch.arange(steps, 0, -1, dtype=torch.float64) * timesteps / steps).round().long() - 1


def initial_noise(count: int, sequence_length: int, channels: int, seed: int, first: int = 0) -> Float[Tensor, "N T C"]:
    """Gaussian noise in which row i depends on (seed, first + i) alone: not on how many rows are asked for at once."""
    shape = (sequence_length, channels)
    rows = [torch.randn(shape, generator=generator(seed, "sample", first + row)) for row in range(count)]
    return torch.stack(rows) if rows else torch.empty(0, *shape)


@torch.no_grad()
def ddim(model: Velocity, schedule: Schedule, x_t: Float[Tensor, "B T C"], steps: int) -> Float[Tensor, "B T C"]:
    """Deterministic sampling (eta = 0): x_s = alpha_s x_0 + sigma_s eps with both taken from the current prediction.

    References: Denoising Diffusion Implicit Models (Song et al., 2021), eq. 12, arXiv:2010.02502.
    """
    times = trailing_times(len(schedule), steps).tolist()
    for t, s in zip(times, [*times[1:], None], strict=True):
        v = model(x_t, torch.full((len(x_t),), t, device=x_t.device))
        x_0, eps = signal_and_noise(x_t, v, float(schedule.alpha[t]), float(schedule.sigma[t]))
        x_t = x_0 if s is None else float(schedule.alpha[s]) * x_0 + float(schedule.sigma[s]) * eps
    return x_t


SAMPLERS = {"ddim": ddim}


def guided(
    model: Callable[[Tensor, Tensor, Tensor, Tensor | None, Tensor | None], Tensor],
    mask: Bool[Tensor, "B T"],
    condition: Float[Tensor, "B D"] | None,
    guidance: float = 1.0,
) -> Velocity:
    """Bind mask and condition; guidance w blends v_u + w (v_c - v_u), so that w = 1 is the plain conditional model.

    References: Classifier-Free Diffusion Guidance (Ho & Salimans, 2022), eq. 6, arXiv:2207.12598.
    """

    def velocity(x_t: Tensor, t: Tensor) -> Tensor:
        conditional = model(x_t, t, mask, condition, None)
        if guidance == 1.0:
            return conditional
        free = model(x_t, t, mask, condition, torch.ones(len(x_t), dtype=torch.bool, device=x_t.device))
        return free + guidance * (conditional - free)

    return velocity
