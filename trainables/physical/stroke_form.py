"""A form of strokes: displacement over time with derivatives, initial values from a speed profile, and a weak prior.

The first four free parameters are the same in every form, `SHARED`; those of its shape follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SHARED = ("log_distance", "middle_s", "log_width", "direction")
LOG_DISTANCE, MIDDLE, LOG_WIDTH, DIRECTION = range(4)  # ln px, s, ln s, radians

Displacement = Callable[[Tensor, Tensor], Tensor]
"""(free [N, K, J], t_s [N, T]) -> displacement in px of each stroke since its beginning, [N, K, T, 2]."""
Jacobian = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""The same -> displacement, and its derivatives by the free parameters, [N, K, J, T, 2]."""


class Peak(NamedTuple):
    """The maximum of a speed profile with the inflections beside it, of N movements.

    Attributes:
        t_s: Times of the left inflection, the maximum and the right one.
        speed: Speeds there, in px/s.
        heading: Headings there, in radians, unwrapped about the one at the maximum.
        inside: Whether the left inflection and the right one lie within the movement.
        at_s: Ticks of the profile.
        profile: Speeds at them.
        near: Which of them lie from the left inflection to the right one.
    """

    t_s: Float[Tensor, "N 3"]
    speed: Float[Tensor, "N 3"]
    heading: Float[Tensor, "N 3"]
    inside: Bool[Tensor, "N 2"]
    at_s: Float[Tensor, "P"]
    profile: Float[Tensor, "N P"]
    near: Bool[Tensor, "N P"]


@dataclass(frozen=True, eq=False)
class StrokeForm:
    """A form of strokes with J free parameters, of any value each.

    Attributes:
        free: Their names, `SHARED` first.
        parameters: Names of the parameters that the literature gives a stroke, see `parameters_of`.
        parameters_of: Free parameters -> these.
        initial: Closed-form initial values from a peak.
        prior_mean, prior_std: Of a normal prior of each free parameter, which decides where a movement does not.
    """

    free: tuple[str, ...]
    parameters: tuple[str, ...]
    displacement: Displacement
    jacobian: Jacobian
    parameters_of: Callable[[Tensor], Tensor]
    initial: Callable[[Peak], Tensor]
    prior_mean: tuple[float, ...]
    prior_std: tuple[float, ...]

    @property
    def prior(self) -> tuple[Float[Tensor, "J"], Float[Tensor, "J"]]:
        """Mean and standard deviation of the prior."""
        mean, std = (torch.tensor(values, dtype=torch.float64) for values in (self.prior_mean, self.prior_std))
        return mean, std


def heading_vector(angle: Float[Tensor, "*#S"], length: Float[Tensor, "*#S"]) -> Float[Tensor, "*#S 2"]:
    """Return vectors of a length in a direction."""
    return torch.stack([length * angle.cos(), length * angle.sin()], dim=-1)


def turned(vectors: Float[Tensor, "*S 2"]) -> Float[Tensor, "*S 2"]:
    """Return vectors turned by a quarter, counter-clockwise: their derivative by the heading."""
    x, y = vectors.unbind(-1)
    return torch.stack([-y, x], dim=-1)
