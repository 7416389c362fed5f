"""Signal-dependent noise: what a fit leaves of the steps of a movement, as shares of their fitted speed.

Motor noise grows with the command. For each movement two standard deviations over the speed are estimated, along the
fitted velocity and across it, from the steps that are faster than `SLOW_PX`: the variance of rounding to whole pixels
is taken off first, the rest is divided by the sum of squared speeds.

References: Signal-dependent noise determines motor planning (Harris & Wolpert, 1998), doi:10.1038/29528.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.physical.quality import STEP_PX2
from trainables.physical.trajectories import Trajectories

SLOW_PX = 2.0  # a tick; below, whole pixels hide what noise there is


def noise_shares(path: Float[Tensor, "N T 2"], trajectories: Trajectories) -> Float[Tensor, "N 2"]:
    """Return the standard deviation of the noise over the speed, along the fitted velocity and across it."""
    step = path.diff(dim=1)
    error = trajectories.position_px.diff(dim=1) - step
    speed = step.norm(dim=-1)
    fast = (speed > SLOW_PX) & trajectories.ticks[:, 1:]
    along, across = in_direction(error, step).unbind(-1)
    energy = (speed.square() * fast).sum(dim=1).clamp(min=SLOW_PX**2)
    squares = torch.stack([((part.square() - STEP_PX2 / 2) * fast).sum(dim=1) for part in (along, across)], dim=1)
    shares: Tensor = (squares.clamp(min=0.0) / energy[:, None]).sqrt()
    return shares


def with_noise(
    path: Float[Tensor, "M T 2"], shares: Float[Tensor, "M 2"], white: Float[Tensor, "M S 2"]
) -> Float[Tensor, "M T 2"]:
    """Return paths with noise of these shares of the speed added to their steps; `white` is of unit variance."""
    step = path.diff(dim=1)
    size = step.norm(dim=-1, keepdim=True) * shares[:, None] * white
    moved = step + from_direction(size, step)
    return torch.cat([path[:, :1], path[:, :1] + moved.cumsum(dim=1)], dim=1)


def in_direction(vectors: Float[Tensor, "*S 2"], of: Float[Tensor, "*S 2"]) -> Float[Tensor, "*S 2"]:
    """Return the components of vectors along the direction of others and across it."""
    cos, sin = _unit(of).unbind(-1)
    x, y = vectors.unbind(-1)
    return torch.stack([cos * x + sin * y, cos * y - sin * x], dim=-1)


def from_direction(components: Float[Tensor, "*S 2"], of: Float[Tensor, "*S 2"]) -> Float[Tensor, "*S 2"]:
    """Inverse of `in_direction`."""
    cos, sin = _unit(of).unbind(-1)
    along, across = components.unbind(-1)
    return torch.stack([cos * along - sin * across, sin * along + cos * across], dim=-1)


def _unit(vectors: Float[Tensor, "*S 2"]) -> Float[Tensor, "*S 2"]:
    """Return vectors of length 1 in the same directions; along +x where there is none."""
    length = vectors.norm(dim=-1, keepdim=True)
    axis = torch.tensor([1.0, 0.0], dtype=vectors.dtype)
    return torch.where(length > 0, vectors / length.clamp(min=1e-12), axis)
