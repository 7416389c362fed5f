"""Variance-preserving noise: x_t = alpha_t x_0 + sigma_t eps with alpha_t^2 + sigma_t^2 = 1.

Here alpha_t is the ROOT of the cumulative product that DDPM calls alpha-bar. Everything speaks of the velocity
v = alpha_t eps - sigma_t x_0: the pair (x_t, v) is a rotation of (x_0, eps), so both come back without a division,
x_0 = alpha_t x_t - sigma_t v and eps = sigma_t x_t + alpha_t v. A network may predict v itself, eps, or the velocity
of the straight path, u = eps - x_0.

v is the preconditioning of EDM for data of unit variance, which standardised sequences are: with sigma =
sigma_t / alpha_t its D = c_skip x + c_out F(c_in x) has c_in x = x_t, c_skip x = alpha_t x_t and c_out = sigma_t, so
that F = -v; and its loss, weighted by 1 / c_out^2, is the unweighted error of v.

The straight path of flow matching, (1 - s) x_0 + s eps, is the schedule `linear` once it is divided by
sqrt((1 - s)^2 + s^2), so every sampler takes it; the steps of DDIM are then Euler steps along it.

References: Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022), table 1,
    arXiv:2206.00364; Flow Matching for Generative Modeling (Lipman et al., 2023), section 4.1, arXiv:2210.02747; Flow
    Straight and Fast (Liu et al., 2023), eq. 1, arXiv:2209.03003.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.config import require

MAXIMUM_BETA = 0.999
Coefficient = Tensor | float
"""One for all rows, or one per row in a shape that scales sequences."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """alpha_t and sigma_t of every diffusion time t = 0 .. len - 1, in float64."""

    alpha: Float[Tensor, "S"]
    sigma: Float[Tensor, "S"]

    def __len__(self) -> int:
        return len(self.alpha)

    def at(self, t: Int[Tensor, "B"]) -> tuple[Float[Tensor, "B 1 1"], Float[Tensor, "B 1 1"]]:
        """(alpha_t, sigma_t) of each row in float32 on the device of `t`, shaped to scale sequences."""
        return tuple(values.to(t.device)[t].float()[:, None, None] for values in (self.alpha, self.sigma))  # type: ignore[return-value]

    def snr(self) -> Float[Tensor, "S"]:
        """Signal-to-noise ratio alpha_t^2 / sigma_t^2."""
        return (self.alpha / self.sigma).square()

    def log_snr(self) -> Float[Tensor, "S"]:
        """Half the logarithm of the signal-to-noise ratio: lambda_t = log(alpha_t / sigma_t)."""
        return self.alpha.log() - self.sigma.log()


def cosine_schedule(timesteps: int = 1000, offset: float = 0.008) -> Schedule:
    """alpha-bar proportional to cos^2((t/T + s) / (1 + s) * pi/2), betas clipped at 0.999.

    References: Improved Denoising Diffusion Probabilistic Models (Nichol & Dhariwal, 2021), eq. 17, arXiv:2102.09672.
    """
    require(timesteps >= 1, "`timesteps >= 1`", str(timesteps))
    time = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    f = torch.cos((time + offset) / (1.0 + offset) * math.pi / 2.0).square()
    beta = (1.0 - f[1:] / f[:-1]).clamp(max=MAXIMUM_BETA)
    alpha_bar = (1.0 - beta).cumprod(dim=0)
    return Schedule(alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt())


def log_snr_schedule(timesteps: int = 1000, highest: float = 5.0) -> Schedule:
    """lambda_t = log(alpha_t / sigma_t) falls linearly from `highest` to `-highest`: equal steps in log-SNR.

    The default spans signal-to-noise ratios from e^10 to e^-10. alpha_t^2 = sigmoid(2 lambda_t).

    References: Variational Diffusion Models (Kingma et al., 2021), section 3.2 (its linear schedule of -log SNR),
        arXiv:2107.00630.
    """
    require(timesteps >= 1, "`timesteps >= 1`", str(timesteps))
    twice = 2.0 * torch.linspace(highest, -highest, timesteps, dtype=torch.float64)
    return Schedule(twice.sigmoid().sqrt(), (-twice).sigmoid().sqrt())


def linear_schedule(timesteps: int = 1000) -> Schedule:
    """Return the straight path (1 - s) x_0 + s eps at unit variance, at s = (t + 1/2) / timesteps.

    (alpha_t, sigma_t) is (1 - s, s) over its norm; the midpoints s hold neither end, so that no coefficient is 0.

    References: Flow Matching for Generative Modeling (Lipman et al., 2023), eq. 20 with sigma_min = 0,
        arXiv:2210.02747.
    """
    require(timesteps >= 1, "`timesteps >= 1`", str(timesteps))
    s = (torch.arange(timesteps, dtype=torch.float64) + 0.5) / timesteps
    norm = torch.hypot(1.0 - s, s)
    return Schedule((1.0 - s) / norm, s / norm)


SCHEDULES = {"cosine": cosine_schedule, "log_snr": log_snr_schedule, "linear": linear_schedule}


@cache
def schedule_of(name: str, timesteps: int) -> Schedule:
    """Return a schedule by its name, made once."""
    return SCHEDULES[name](timesteps)


def diffuse(x_0: Tensor, eps: Tensor, alpha_t: Coefficient, sigma_t: Coefficient) -> Tensor:
    """x_t = alpha_t x_0 + sigma_t eps."""
    return alpha_t * x_0 + sigma_t * eps


def velocity(x_0: Tensor, eps: Tensor, alpha_t: Coefficient, sigma_t: Coefficient) -> Tensor:
    """v = alpha_t eps - sigma_t x_0 (Progressive Distillation, Salimans & Ho, 2022, appendix D, arXiv:2202.00512)."""
    return alpha_t * eps - sigma_t * x_0


def signal_and_noise(x_t: Tensor, v: Tensor, alpha_t: Coefficient, sigma_t: Coefficient) -> tuple[Tensor, Tensor]:
    """(x_0, eps) from (x_t, v): the inverse rotation."""
    return alpha_t * x_t - sigma_t * v, sigma_t * x_t + alpha_t * v


@dataclass(frozen=True)
class Prediction:
    """Prediction target of the network, and its conversion to a velocity.

    Attributes:
        target: (x_0, eps, alpha_t, sigma_t) -> what the network should output.
        velocity: (x_t, output, alpha_t, sigma_t) -> v.
        weight: (snr, gamma) -> weight of the squared error of the output, min-SNR.
        least_alpha: alpha_t below which the velocity is not to be trusted.
    """

    target: Callable[[Tensor, Tensor, Coefficient, Coefficient], Tensor]
    velocity: Callable[[Tensor, Tensor, Coefficient, Coefficient], Tensor]
    weight: Callable[[Tensor, float], Tensor]
    least_alpha: float = 0.0


def _noise_to_velocity(x_t: Tensor, eps: Tensor, alpha_t: Coefficient, sigma_t: Coefficient) -> Tensor:
    """v = (eps - sigma_t x_t) / alpha_t; errors grow as 1 / alpha_t, so it is of no use where alpha_t is near 0."""
    return (eps - sigma_t * x_t) / alpha_t


def _flow_to_velocity(x_t: Tensor, u: Tensor, alpha_t: Coefficient, sigma_t: Coefficient) -> Tensor:
    """v = ((alpha_t - sigma_t) x_t + u) / (alpha_t + sigma_t) for u = eps - x_0; alpha_t + sigma_t is at least 1.

    From x_0 = (x_t - sigma_t u) / (alpha_t + sigma_t) and eps = (x_t + alpha_t u) / (alpha_t + sigma_t).
    """
    return ((alpha_t - sigma_t) * x_t + u) / (alpha_t + sigma_t)


PREDICTIONS = {
    "v": Prediction(
        target=velocity,
        velocity=lambda x_t, output, alpha_t, sigma_t: output,
        weight=lambda snr, gamma: snr.clamp(max=gamma) / (snr + 1.0),
    ),
    "eps": Prediction(
        target=lambda x_0, eps, alpha_t, sigma_t: eps,
        velocity=_noise_to_velocity,
        weight=lambda snr, gamma: snr.clamp(max=gamma) / snr,
        least_alpha=0.01,  # an error of the output is magnified 100 times at most
    ),
    "flow": Prediction(
        target=lambda x_0, eps, alpha_t, sigma_t: eps - x_0,
        velocity=_flow_to_velocity,
        weight=lambda snr, gamma: snr.clamp(max=gamma) / (snr.sqrt() + 1.0).square(),
    ),
}
"""Weights are those of an x_0 error, min(snr, gamma), in units of the output's error.

References: Efficient Diffusion Training via Min-SNR Weighting Strategy (Hang et al., 2023), section 3.4,
    arXiv:2303.09556.
"""
