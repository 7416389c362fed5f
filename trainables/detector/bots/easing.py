"""Easing curves of animation libraries: the progress of a bot along its curve as a function of time.

Each function takes [0, 1] to [0, 1], 0 to 0 and 1 to 1, and never falls.

References: Robert Penner's Programming Macromedia Flash MX (2002), chapter 7, for the family of curves.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Easing = Callable[[Tensor], Tensor]


def linear(u: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """Return u: constant speed."""
    return u


def power_in(degree: int) -> Easing:
    """Return u -> u^degree: from rest to full speed."""
    return lambda u: u**degree


def power_out(degree: int) -> Easing:
    """Return u -> 1 - (1 - u)^degree: from full speed to rest."""
    return lambda u: 1.0 - (1.0 - u) ** degree


def power_in_out(degree: int) -> Easing:
    """Return half of `power_in`, then half of `power_out`: from rest to rest, fastest in the middle."""
    return lambda u: torch.where(u < 0.5, (2.0 * u) ** degree / 2.0, 1.0 - (2.0 - 2.0 * u) ** degree / 2.0)


def power_ends(degree: int) -> Easing:
    """Return half of `power_out`, then half of `power_in`: fast at both ends, as parametric curves can be."""
    return lambda u: (
        torch.where(u < 0.5, 1.0 - (1.0 - 2.0 * u).abs() ** degree, 1.0 + (2.0 * u - 1.0).abs() ** degree) / 2.0
    )


def sine_in_out(u: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """Return half a wave of the cosine."""
    return (1.0 - torch.cos(math.pi * u)) / 2.0


def exponential_out(u: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """Return an exponential approach, truncated after ten halvings and rescaled."""
    left = torch.exp2(-10.0 * u)
    return (1.0 - left) / (1.0 - 2.0**-10)


EASINGS: Mapping[str, Easing] = {
    "linear": linear,
    "quadratic_in": power_in(2),
    "quadratic_out": power_out(2),
    "quadratic_in_out": power_in_out(2),
    "cubic_out": power_out(3),
    "cubic_in_out": power_in_out(3),
    "quadratic_ends": power_ends(2),
    "sine_in_out": sine_in_out,
    "exponential_out": exponential_out,
}
CURVED = tuple(name for name in EASINGS if name != "linear")


def eased(progress: Float[Tensor, "N P"], names: Sequence[str], random: torch.Generator) -> Float[Tensor, "N P"]:
    """Apply a random one of the named easings to each row."""
    which = torch.randint(len(names), (len(progress),), generator=random)
    result = torch.empty_like(progress)
    for number, name in enumerate(names):
        rows = which == number
        result[rows] = EASINGS[name](progress[rows])
    return result
