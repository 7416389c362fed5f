"""End-point inpainting: a sample's net displacement held to the requested one while it is sampled.

An alternative to conditioning, and it can be had together with it. Steps are companded, so the end point is no linear
function of z; each prediction of x_0 is therefore taken to pixels, corrected there, and companded again.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.core.config import require
from trainables.data.splits.statistics import Statistics
from trainables.diffusion.samplers import Correction

STEP_CHANNELS = 2


def end_point_correction(statistics: Statistics, mask: Bool[Tensor, "B T"], end_px: Float[Tensor, "B 2"]) -> Correction:
    """The map that makes the valid steps of every prediction sum to an end point; channels beside them are left alone.

    Args:
        end_px: Net displacements in the frame.

    Raises:
        ConfigError: a representation whose steps are not all displacements.
    """
    channels = len(statistics.mean)
    require(
        channels == STEP_CHANNELS, "`inpaint` only with steps (dx, dy)", f"{channels} channels", "set inpaint=false"
    )
    end = end_px.to(mask.device)

    def correct(x_0: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        steps, others = x_0[..., :STEP_CHANNELS], x_0[..., STEP_CHANNELS:]
        steps_px = statistics.expand(steps) * mask[..., None]
        held = hold_end_point(steps_px, mask, end, float(statistics.scale_px))
        return torch.cat([statistics.compress(held).to(x_0.dtype) * mask[..., None], others], dim=2)

    return correct


def hold_end_point(
    steps_px: Float[Tensor, "B T 2"], mask: Bool[Tensor, "B T"], end: Float[Tensor, "B 2"], scale_px: float
) -> Float[Tensor, "B T 2"]:
    """d_i + w_i (end - sum of d) with w_i proportional to scale^2 + |d_i|^2 over the valid steps.

    A change of d_i is divided by sqrt(scale^2 + |d_i|^2) when its length is companded, so these shares change z least
    in the square mean (to first order), and hardly move a still step. Shares of the path set more of them in motion,
    equal shares all of them: with the default data C2ST was 0.70, 0.72 and 0.87, and 0.68 to 0.71 without inpainting.
    """
    weight = (scale_px**2 + steps_px.square().sum(dim=-1)) * mask
    share = weight / weight.sum(dim=1, keepdim=True)
    return steps_px + share[..., None] * (end - steps_px.sum(dim=1))[:, None]
