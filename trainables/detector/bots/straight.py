"""Bots on the straight line to the target, at constant speed or with an easing curve."""

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.data.canonical import Canonical
from trainables.detector.bots.bot import Bot, Following, chord
from trainables.detector.bots.easing import CURVED, eased


def constant_speed(like: Canonical, progress: Float[Tensor, "N P"], random: torch.Generator) -> Float[Tensor, "N P 2"]:
    """Return positions at constant speed."""
    return chord(progress)


def eased_speed(like: Canonical, progress: Float[Tensor, "N P"], random: torch.Generator) -> Float[Tensor, "N P 2"]:
    """Return positions with a random easing curve per movement."""
    return chord(eased(progress, CURVED, random))


STRAIGHT: dict[str, Bot] = {
    "straight_constant": Bot("straight", Following(constant_speed)),
    "straight_eased": Bot("straight", Following(eased_speed)),
}
