"""How samples are computed: the settings, and which rows share a network call.

A sample must not depend on what shares its batch, to the last bit. Rows of a network do not see each other, but the
kernels that compute them are chosen by the shape of the whole. Hence the laws of a call, measured on CPUs:

    width   every row is cut to the first multiple of 64 that holds its own length, or to T: by its length alone
    rows    filled up to a multiple of 8: then the number of rows, and which of them a row is, change no bit
    masks   a call has a padded step or, in a representation without padding, none: the network's path with a mask and
            the one without round differently

Cutting also spares the padding: with T=200 the default recordings are sampled three times as fast.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.core.config import require, require_member
from trainables.diffusion.noise.schedule import Prediction, Schedule
from trainables.diffusion.samplers import SAMPLERS, SPACINGS, Correction, Denoiser, ddim, guided, noisiest_time


@dataclass(frozen=True)
class SamplingConfig:
    """How to get from noise to a sample."""

    sampler: str = "dpmpp_2m"  # at 20 calls it errs half as much as DDIM, at 8 calls as much as DDIM at 20
    spacing: str = "log_snr"
    steps: int = 20  # network calls per sample
    guidance: float = 1.0  # 1: the conditional model; more: away from the unconditional one, at twice the cost
    eta: float = 0.0  # share of the ancestral sampler's fresh noise; 0: the initial noise decides everything
    inpaint: bool = False  # hold the net displacement to the asked one at every step

    def __post_init__(self) -> None:
        require_member("sampler", self.sampler, SAMPLERS)
        require_member("spacing", self.spacing, SPACINGS)
        require(self.steps >= 1, "`steps >= 1`", f"steps={self.steps}")
        require(math.isfinite(self.guidance), "`guidance` is finite", f"guidance={self.guidance}")
        require(0.0 <= self.eta <= 1.0, "`0 <= eta <= 1`", f"eta={self.eta}")
        only_ddim = self.eta == 0.0 or self.sampler == "ddim"
        require(only_ddim, "`eta = 0` unless `sampler = ddim`", f"eta={self.eta}, sampler={self.sampler}")

    def times(self, schedule: Schedule, prediction: Prediction) -> Int[Tensor, "S"]:
        """The diffusion times of the network calls.

        Raises:
            ConfigError: more steps than there are times.
        """
        return SPACINGS[self.spacing](schedule, self.steps, noisiest_time(schedule, prediction))


@dataclass(frozen=True)
class SamplingChanges:
    """What a command asks for in place of a checkpoint's own sampling; what is None stays."""

    sampler: str | None = None
    spacing: str | None = None
    steps: int | None = None
    guidance: float | None = None
    eta: float | None = None
    inpaint: bool | None = None

    def __post_init__(self) -> None:
        for name, known in (("sampler", SAMPLERS), ("spacing", SPACINGS)):
            if getattr(self, name) is not None:
                require_member(name, getattr(self, name), known)

    def over(self, sampling: SamplingConfig) -> SamplingConfig:
        """The sampling with these changes.

        Raises:
            ConfigError: they break a law of `SamplingConfig`.
        """
        return replace(sampling, **{name: value for name, value in vars(self).items() if value is not None})


def draw_sample(
    model: Denoiser,
    schedule: Schedule,
    prediction: Prediction,
    mask: Bool[Tensor, "B T"],
    condition: Float[Tensor, "B D"],
    noise: Callable[..., Tensor],
    config: SamplingConfig,
    correct: Correction | None = None,
) -> Float[Tensor, "B T C"]:
    """Samples of one network call per step, zero under the mask.

    Args:
        noise: Purpose ("sample", or "step" and its number) -> normal noise [B, T, C] of these rows.

    Raises:
        ConfigError: more steps than the process has times.
        SamplingDivergedError: the network gives NaN or infinity.
    """
    velocity = guided(model, mask, condition, schedule, prediction, config.guidance)
    solve = SAMPLERS[config.sampler]
    if config.eta > 0.0:
        solve = partial(ddim, eta=config.eta, fresh=lambda step: noise("step", step))
    x_0 = solve(velocity, schedule, noise("sample"), config.times(schedule, prediction), correct)
    return x_0 * mask[..., None]
