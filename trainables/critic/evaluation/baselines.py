"""Baselines of a critic: minus the distance of a goal from where the pointer is, or will be if it moves straight on.

    distance       f = -|x_i - g_j|
    extrapolation  f = -|x_i + h d_i - g_j|,  d_i the step before the state or the step from it

The critic sees both steps, so both are tried; which of them and how many steps h ahead is chosen on training movements
of the same source. With h = 0 extrapolation is the distance.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.critic.buffer import Transitions
from trainables.critic.episodes import POSITION
from trainables.critic.goals import EXACT
from trainables.critic.losses import credit
from trainables.data.config import RATE_HZ

HORIZONS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)  # steps
DIRECTIONS = ("velocity", "action")


class Extrapolation(NamedTuple):
    """How far ahead the pointer is taken to move straight on, and along which step."""

    steps: float
    along: str


def distance(drawn: Transitions) -> Float[Tensor, "B B"]:
    """Return minus the distance of each goal from each position, in px."""
    return extrapolated(drawn, Extrapolation(0.0, "action"))


def extrapolated(drawn: Transitions, extrapolation: Extrapolation) -> Float[Tensor, "B B"]:
    """Return minus the distance of each goal from where each pointer would be, in px."""
    step = drawn.action if extrapolation.along == "action" else drawn.state[:, POSITION:] / RATE_HZ
    ahead = drawn.state[:, :POSITION] + extrapolation.steps * step
    # exact, so that goals as far as each other tie
    return -torch.cdist(ahead, drawn.goal[:, :POSITION], compute_mode=EXACT)


def best_extrapolation(batches: Sequence[Transitions], negatives: Sequence[Bool[Tensor, "_ _"]]) -> Extrapolation:
    """Return the extrapolation of the highest accuracy on training batches; of equals the shortest."""

    def accuracy(of: Extrapolation) -> float:
        pairs = zip(batches, negatives, strict=True)
        return float(torch.cat([credit(extrapolated(drawn, of), negative) for drawn, negative in pairs]).mean())

    return max((Extrapolation(steps, along) for steps in HORIZONS for along in DIRECTIONS), key=accuracy)
