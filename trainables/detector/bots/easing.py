"""Speed profiles of animation libraries: how far along its curve a bot is at a share of its time.

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
    """Constant speed."""
    return u


def power_in(degree: int) -> Easing:
    """u^degree: from rest to full speed."""
    return lambda u: u**degree


def power_out(degree: int) -> Easing:
    """1 - (1 - u)^degree: from full speed to rest."""
    return lambda u: 1.0 - (1.0 - u) ** degree


def power_in_out(degree: int) -> Easing:
    """Half of `power_in`, then half of `power_out`: from rest to rest, fastest in the middle."""
    return lambda u: torch.where(u < 0.5, (2.0 * u) ** degree / 2.0, 1.0 - (2.0 - 2.0 * u) ** degree / 2.0)


def power_ends(degree: int) -> Easing:
    """Half of `power_out`, then half of `power_in`: fast at both ends, as a curve in its own parameter may be."""
    return lambda u: (
        torch.where(u < 0.5, 1.0 - (1.0 - 2.0 * u).abs() ** degree, 1.0 + (2.0 * u - 1.0).abs() ** degree) / 2.0
    )


def sine_in_out(u: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """Half a wave of the cosine."""
    return (1.0 - torch.cos(math.pi * u)) / 2.0


def exponential_out(u: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """An exponential approach, cut off and scaled where ten halvings have passed."""
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
    """Each row through one of the named easings, drawn for it."""
    which = torch.randint(len(names), (len(progress),), generator=random)
    result = torch.empty_like(progress)
    for number, name in enumerate(names):
        rows = which == number
        result[rows] = EASINGS[name](progress[rows])
    return result
