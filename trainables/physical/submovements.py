"""Minimum-jerk sub-movements of a fit: each of a duration and a vector, straight, and added as vectors.

The displacement of a sub-movement of length D from its onset over the duration d is D (10 tau^3 - 15 tau^4 + 6 tau^5)
with tau = (t - onset) / d, and its speed 30 D / d tau^2 (1 - tau)^2: at most 15/8 D / d, in its middle, with
inflections at tau = (3 -+ sqrt 3) / 6. A fit moves ln D, the middle, the logarithm of d and the direction.

References: The coordination of arm movements (Flash & Hogan, 1985), eq. 3, doi:10.1523/JNEUROSCI.05-07-01688.1985;
Optimality in human motor performance: ideal control of rapid aimed movements (Meyer et al., 1988), for sub-movements.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.physical.minimum_jerk import minimum_jerk
from trainables.physical.stroke_form import SHARED, Peak, StrokeForm, heading_vector, turned

APART = math.sqrt(3.0)  # the duration over the time between the inflections
TO_EDGE = 2.0 * APART  # the duration over the time from the middle to one of them, doubled


def displacement(free: Float[Tensor, "N K 4"], t_s: Float[Tensor, "N T"]) -> Float[Tensor, "N K T 2"]:
    """Return the displacement of each sub-movement since its onset."""
    log_distance, _, _, direction = free[:, :, None, :].unbind(-1)
    return heading_vector(direction, log_distance.exp() * minimum_jerk(_tau(free, t_s)))


def jacobian(
    free: Float[Tensor, "N K 4"], t_s: Float[Tensor, "N T"]
) -> tuple[Float[Tensor, "N K T 2"], Float[Tensor, "N K 4 T 2"]]:
    """Return the displacements with their derivatives by the free parameters."""
    log_distance, _, log_width, direction = free[:, :, None, :].unbind(-1)
    tau, distance = _tau(free, t_s), log_distance.exp()
    moved = heading_vector(direction, distance * minimum_jerk(tau))
    rate = distance * 30.0 * (tau * (1.0 - tau)).square()
    by_middle, by_width = -rate * (-log_width).exp(), -rate * (tau - 0.5)
    parts = [moved, *(heading_vector(direction, part) for part in (by_middle, by_width)), turned(moved)]
    return moved, torch.stack(parts, dim=2)


def _tau(free: Float[Tensor, "N K 4"], t_s: Float[Tensor, "N T"]) -> Float[Tensor, "N K T"]:
    _, middle, log_width, _ = free[:, :, None, :].unbind(-1)
    return ((t_s[:, None, :] - middle) * (-log_width).exp() + 0.5).clamp(0.0, 1.0)


def parameters_of(free: Float[Tensor, "*S 4"]) -> Float[Tensor, "*S 4"]:
    """Return the length in px, the onset and the duration in s, and the direction in radians."""
    log_distance, middle, log_width, direction = free.unbind(-1)
    return torch.stack([log_distance.exp(), middle - 0.5 * log_width.exp(), log_width.exp(), direction], dim=-1)


def free_of(parameters: Float[Tensor, "*S 4"]) -> Float[Tensor, "*S 4"]:
    """Inverse of `parameters_of`."""
    distance, onset, duration, direction = parameters.unbind(-1)
    return torch.stack([distance.log(), onset + 0.5 * duration, duration.log(), direction], dim=-1)


def initial(peak: Peak) -> Float[Tensor, "N 4"]:
    """Return the free parameters of the sub-movement whose maximum and inflections are given."""
    left, middle, right = peak.t_s.unbind(1)
    one_side = torch.where(peak.inside[:, 1], right - middle, middle - left) * TO_EDGE
    duration = torch.where(peak.inside.all(dim=1), (right - left) * APART, one_side).clamp(min=2e-2)
    distance = (peak.speed[:, 1] * duration * 8.0 / 15.0).clamp(min=1e-3)
    return torch.stack([distance.log(), middle, duration.log(), peak.heading[:, 1]], dim=1)


MINIMUM_JERK = StrokeForm(
    free=SHARED,
    parameters=("distance_px", "onset_s", "duration_s", "direction"),
    displacement=displacement,
    jacobian=jacobian,
    parameters_of=parameters_of,
    initial=initial,
    prior_mean=(4.0, 0.0, math.log(0.25), 0.0),
    prior_std=(3.0, 10.0, 0.7, 10.0),
)
