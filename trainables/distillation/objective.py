"""The loss of progressive distillation: one step of the student ends where two steps of its parent end.

The parent's sampler is DDIM without fresh noise. From x_t two of its steps lead to x_s by way of the call between them.
Exactly one prediction of the data, x~, makes a single step from x_t end there as well:

    x~ = (x_s - sigma_s / sigma_t x_t) / (alpha_s - sigma_s / sigma_t alpha_t)

It is what the student learns to predict at time t, for x_t of diffused training movements. Behind the last call lie the
data, alpha_s = 1 and sigma_s = 0, where x~ is the sample itself.

References: Progressive Distillation for Fast Sampling of Diffusion Models (Salimans & Ho, 2022), algorithm 2 for x~,
section 4 for the weights, arXiv:2202.00512.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.data.dataset import Batch
from trainables.diffusion.noise.schedule import Coefficient, Schedule, diffuse, signal_and_noise
from trainables.diffusion.objective import denoising_loss
from trainables.diffusion.samplers import Denoiser, Velocity

WEIGHTINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "truncated_snr": lambda snr: snr.clamp(min=1.0),
    "snr_plus_one": lambda snr: snr + 1.0,
}
"""Signal-to-noise ratio -> weight of the squared error of x_0; with SNR + 1 it is the squared error of v."""


def levels_of(schedule: Schedule, times: Int[Tensor, "S"]) -> Schedule:
    """Return alpha and sigma at the calls of a sampler, in their order, and of the data, which the last leads to."""
    alpha, sigma = schedule.alpha[times], schedule.sigma[times]
    return Schedule(torch.cat([alpha, torch.ones_like(alpha[:1])]), torch.cat([sigma, torch.zeros_like(sigma[:1])]))


def deterministic_step(
    x_t: Tensor, v: Tensor, alpha_t: Coefficient, sigma_t: Coefficient, alpha_s: Coefficient, sigma_s: Coefficient
) -> Tensor:
    """x_s = alpha_s x_0 + sigma_s eps, both from the prediction v (Song et al., 2021, eq. 12, arXiv:2010.02502)."""
    return diffuse(*signal_and_noise(x_t, v, alpha_t, sigma_t), alpha_s, sigma_s)


def implied_data(
    x_t: Tensor, x_s: Tensor, alpha_t: Coefficient, sigma_t: Coefficient, alpha_s: Coefficient, sigma_s: Coefficient
) -> Tensor:
    """Return the x_0 whose single deterministic step from x_t ends at x_s."""
    ratio = sigma_s / sigma_t
    return (x_s - ratio * x_t) / (alpha_s - ratio * alpha_t)


@torch.no_grad()
def distillation_target(
    parent: Velocity, levels: Schedule, times: Int[Tensor, "S"], x_t: Float[Tensor, "B T C"], call: Int[Tensor, "B"]
) -> Float[Tensor, "B T C"]:
    """Return x~ of two steps of the parent, from its calls 2 `call` and 2 `call` + 1.

    Args:
        levels, times: Of all calls of the parent's sampler.
        call: Number of the student's call, from 0, of each row.
    """
    x_s = x_t
    for number in (2 * call, 2 * call + 1):
        v = parent(x_s, times[number], None)
        x_s = deterministic_step(x_s, v, *levels.at(number), *levels.at(number + 1))
    return implied_data(x_t, x_s, *levels.at(2 * call), *levels.at(2 * call + 2))


def distillation_loss(
    student: Denoiser,
    parent: Callable[[Bool[Tensor, "B T"], Float[Tensor, "B D"]], Velocity],
    schedule: Schedule,
    times: Int[Tensor, "S"],
    batch: Batch,
    eps: Float[Tensor, "B T C"],
    call: Int[Tensor, "B"],
    weighting: str,
    row_weight: Float[Tensor, "B"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean over rows of the weighted squared error of the student's x_0 against x~, over valid steps.

    Args:
        student: Predicts v.
        parent: (mask, condition) -> its velocity, with guidance if it has any.
        times: Diffusion times of the parent's calls; the student's are the even ones of them.
        eps: Noise of each row.
        call: Number of the student's call, from 0, of each row.
        row_weight: Factor of each row's error.
    """
    (z, mask), condition = batch
    levels, times = levels_of(schedule, times), times.to(z.device)
    alpha_t, sigma_t = levels.at(2 * call)
    x_t = diffuse(z, eps, alpha_t, sigma_t)
    target = distillation_target(parent(mask, condition), levels, times, x_t, call)
    v = student(x_t, times[2 * call], mask, condition, None, None).to(x_t.dtype)
    x_0, _ = signal_and_noise(x_t, v, alpha_t, sigma_t)
    weight = WEIGHTINGS[weighting](alpha_t.square() / sigma_t.square()).flatten()
    weight = weight if row_weight is None else weight * row_weight
    return (weight * denoising_loss(target, x_0, mask)).mean()
