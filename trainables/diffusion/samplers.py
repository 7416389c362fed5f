"""Samplers: from noise to data along the probability-flow path in a few network calls.

A sampler takes a velocity v(x_t, t, estimate), the schedule, the noise and the diffusion times at which the network is
called, the noisiest first; from the last of them it goes to x_0 at once. The estimate is the x_0 that the call before
predicted, for networks with self-conditioning; the first call gets None.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.diffusion.noise.schedule import Prediction, Schedule, signal_and_noise

Velocity = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(x_t [B,T,C], t [B], estimate [B,T,C]) -> v [B,T,C]; condition, mask and guidance are already bound."""

Denoiser = Callable[[Tensor, Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None], Tensor]
"""(x_t, t, mask [B,T], condition [B,D], dropped conditions [B], estimate) -> v, or another prediction."""

Correction = Callable[[Tensor], Tensor]
"""x_0 [B,T,C] -> x_0: what every prediction of the data is held to."""


class SamplingDivergedError(ValueError):
    """A network call gave NaN or infinity: there is no sample."""


# diffusion times


def noisiest_time(schedule: Schedule, prediction: Prediction) -> int:
    """The last time at which the prediction's velocity can be trusted: with "eps" the last one with alpha_t >= 0.01."""
    least = prediction.least_alpha
    usable = (schedule.alpha >= least).nonzero()
    require(len(usable) > 0, f"`alpha_t >= {least}` at some t", f"alpha_0={float(schedule.alpha[0]):.2g}")
    return int(usable.max())


def trailing_times(schedule: Schedule, steps: int, noisiest: int) -> Int[Tensor, "S"]:
    """`steps` diffusion times from `noisiest` downwards, equally spaced.

    References: Common Diffusion Noise Schedules and Sample Steps are Flawed (Lin et al., 2023), section 3.3,
        arXiv:2305.08891.
    """
    _check_steps(steps, noisiest)
    return (torch.arange(steps, 0, -1, dtype=torch.float64) * (noisiest + 1) / steps).round().long() - 1


def log_snr_times(schedule: Schedule, steps: int, noisiest: int) -> Int[Tensor, "S"]:
    """`noisiest`, and then S - 1 times of S that are uniform in lambda_t = log(alpha_t / sigma_t).

    They span T - T/8S to T/2S: beyond, lambda runs to its ends while next to nothing is decided, and steps there are
    missed elsewhere (with 8 steps the error was three times as large). The span widens with S, so that the solution
    converges. Each is the nearest grid time, moved as little as it takes to have distinct falling times.

    References: DPM-Solver (Lu et al., 2022), section 4.1 on uniform log-SNR steps, arXiv:2206.00927.
    """
    _check_steps(steps, noisiest)
    level, total = schedule.log_snr()[: noisiest + 1], noisiest + 1
    first, last = (min(max(round(total * share) - 1, 0), noisiest) for share in (1 - 0.125 / steps, 0.5 / steps))
    wanted = torch.linspace(float(level[first]), float(level[last]), steps, dtype=torch.float64)
    nearest = (level[None] - wanted[:, None]).abs().argmin(dim=1)
    nearest[0] = noisiest
    room = torch.arange(steps - 1, -1, -1)  # as many times must still fit below
    return torch.cummin((nearest - room).clamp(min=0), dim=0).values + room


def _check_steps(steps: int, noisiest: int) -> None:
    require(1 <= steps <= noisiest + 1, "`1 <= steps <= timesteps`", f"steps={steps}, timesteps={noisiest + 1}")


SPACINGS = {"trailing": trailing_times, "log_snr": log_snr_times}


# samplers


@torch.no_grad()
def ddim(
    model: Velocity,
    schedule: Schedule,
    x_t: Float[Tensor, "B T C"],
    times: Int[Tensor, "S"],
    correct: Correction | None = None,
    *,
    eta: float = 0.0,
    fresh: Callable[[int], Tensor] | None = None,
) -> Float[Tensor, "B T C"]:
    """x_s = alpha_s x_0 + sqrt(sigma_s^2 - tau^2) eps + tau z, x_0 and eps both from the current prediction.

    tau = eta sigma_s / sigma_t sqrt(1 - alpha_t^2 / alpha_s^2): eta 0 is deterministic, eta 1 the ancestral sampler.
    `fresh(k)` is the normal noise z of the k-th step, needed where eta > 0.

    References: Denoising Diffusion Implicit Models (Song et al., 2021), eq. 12 and 16, arXiv:2010.02502.
    """
    estimate: Tensor | None = None
    for step, (t, s) in enumerate(zip(times.tolist(), [*times.tolist()[1:], None], strict=True)):
        estimate, eps = _predict(model, schedule, x_t, t, estimate, correct)
        if s is None:
            break
        tau = eta * _ancestral(schedule, t, s)
        x_t = float(schedule.alpha[s]) * estimate + (float(schedule.sigma[s]) ** 2 - tau**2) ** 0.5 * eps
        if tau > 0.0 and fresh is not None:
            x_t = x_t + tau * fresh(step)
    return x_t if estimate is None else estimate


@torch.no_grad()
def dpmpp_2m(
    model: Velocity,
    schedule: Schedule,
    x_t: Float[Tensor, "B T C"],
    times: Int[Tensor, "S"],
    correct: Correction | None = None,
) -> Float[Tensor, "B T C"]:
    """Second-order multistep solver in lambda_t, on predictions of the data.

    With h = lambda_s - lambda_t and r = h_before / h a step goes from t to s by
    x_s = sigma_s / sigma_t x_t - alpha_s (exp(-h) - 1) D with D = (1 + 1 / 2r) x_0 - 1 / 2r x_0_before; the first step
    has D = x_0, and so has the last one, where h is infinite.

    References: DPM-Solver++ (Lu et al., 2022), algorithm 2, arXiv:2211.01095.
    """
    level = schedule.log_snr()[times].tolist()
    estimate: Tensor | None = None
    before: Tensor | None = None
    for step, (t, s) in enumerate(zip(times.tolist(), [*times.tolist()[1:], None], strict=True)):
        before, estimate = estimate, _predict(model, schedule, x_t, t, estimate, correct)[0]
        if s is None:
            break
        h = level[step + 1] - level[step]
        data = estimate
        if before is not None:
            twice_r = 2.0 * (level[step] - level[step - 1]) / h
            data = (1.0 + 1.0 / twice_r) * estimate - (1.0 / twice_r) * before
        x_t = float(schedule.sigma[s] / schedule.sigma[t]) * x_t - float(schedule.alpha[s]) * math.expm1(-h) * data
    return x_t if estimate is None else estimate


SAMPLERS: dict[str, Callable[[Velocity, Schedule, Tensor, Tensor, Correction | None], Tensor]] = {
    "ddim": ddim,
    "dpmpp_2m": dpmpp_2m,
}


def _predict(
    model: Velocity, schedule: Schedule, x_t: Tensor, t: int, estimate: Tensor | None, correct: Correction | None
) -> tuple[Tensor, Tensor]:
    """(x_0, eps) of one network call; with a correction eps is what then remains: (x_t - alpha_t x_0) / sigma_t."""
    alpha, sigma = float(schedule.alpha[t]), float(schedule.sigma[t])
    v = model(x_t, torch.full((len(x_t),), t, device=x_t.device), estimate)
    if not bool(torch.isfinite(v).all()):
        raise SamplingDivergedError(
            f"the network gave NaN or infinity at t={t}; neither noise nor weights may hold any"
        )
    x_0, eps = signal_and_noise(x_t, v, alpha, sigma)
    if correct is None:
        return x_0, eps
    x_0 = correct(x_0)
    return x_0, (x_t - alpha * x_0) / sigma


def _ancestral(schedule: Schedule, t: int, s: int) -> float:
    alpha, sigma = schedule.alpha, schedule.sigma
    return float(sigma[s] / sigma[t] * (1.0 - (alpha[t] / alpha[s]).square()).sqrt())


def guided(
    model: Denoiser,
    mask: Bool[Tensor, "B T"],
    condition: Float[Tensor, "B D"] | None,
    schedule: Schedule,
    prediction: Prediction,
    guidance: float = 1.0,
) -> Velocity:
    """Bind mask and condition; guidance w blends free + w (conditional - free), so that w = 1 is the plain model.

    Both predictions come from one call of twice the rows, and the prediction is turned into a velocity.

    References: Classifier-Free Diffusion Guidance (Ho & Salimans, 2022), eq. 6, arXiv:2207.12598.
    """

    def output(x_t: Tensor, t: Tensor, estimate: Tensor | None) -> Tensor:
        if guidance == 1.0:
            return model(x_t, t, mask, condition, None, estimate)
        drop = torch.arange(2 * len(x_t), device=x_t.device) >= len(x_t)
        again = None if estimate is None else _twice(estimate)
        doubled = None if condition is None else _twice(condition)
        conditional, free = model(_twice(x_t), _twice(t), _twice(mask), doubled, drop, again).chunk(2)
        return free + guidance * (conditional - free)

    def velocity(x_t: Tensor, t: Tensor, estimate: Tensor | None) -> Tensor:
        return prediction.velocity(x_t, output(x_t, t, estimate), *schedule.at(t))

    return velocity


def _twice(rows: Tensor) -> Tensor:
    return torch.cat([rows, rows])
