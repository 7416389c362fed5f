"""Sampling: diffusion times, the solver, and which rows share a network call.

A sample must not depend on what shares its batch, to the last bit. Rows of a network do not see each other, but the
kernels that compute them are chosen by the shape of the whole. Hence the laws of a call, measured on CPUs:

    width   every row is cut, or filled up, to the first multiple of 64 that holds it: by its own length, whatever T
    rows    filled up to a multiple of 8: then the number of rows, and which of them a row is, change no bit
    masks   a call has a padded step or, in a representation without padding, none: the network's path with a mask and
            the one without round differently

Cutting also spares the padding: with T=200 the default recordings are sampled three times as fast.
"""

from collections.abc import Callable
from functools import partial

from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.diffusion.noise.schedule import Prediction, Schedule
from trainables.diffusion.samplers import SAMPLERS, SPACINGS, Correction, Denoiser, ddim, guided, noisiest_time
from trainables.diffusion.sampling_config import SamplingConfig


def sampling_times(config: SamplingConfig, schedule: Schedule, prediction: Prediction) -> Int[Tensor, "S"]:
    """The diffusion times of the network calls.

    Raises:
        ConfigError: more steps than there are times.
    """
    return SPACINGS[config.spacing](schedule, config.steps, noisiest_time(schedule, prediction))


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
    x_0 = solve(velocity, schedule, noise("sample"), sampling_times(config, schedule, prediction), correct)
    return x_0 * mask[..., None]
