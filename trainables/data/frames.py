"""Frames: which way a network sees a movement turned.

    chord          the net displacement lies along +x
    quarter_turn   the movement is turned by the multiple of 90 degrees that brings its net displacement within 45
                   degrees of +x; what the turn leaves is part of the condition

A canonical movement lies along its chord, whatever the frame: features, probes and detectors take it there. Only the
standardisation of a network's sequences (`trainables.data.splits.statistics`) turns it into the frame, and back.

A rotation to +x by any angle takes the pixel grid with it: single pixels along an axis of the screen, which make up
much of a slow movement, come to lie in all directions, and a network has to learn the grid of every angle. Quarter
turns take the grid onto itself: whole pixels stay whole, and axes stay axes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

QUARTER = math.pi / 2


@dataclass(frozen=True)
class Frame:
    """A frame, by what it makes of the direction of a movement on the screen.

    Attributes:
        rest: Angle of the net displacement on the screen -> its angle in the frame, both in radians.
        columns: Angle on the screen -> columns of a network's condition, each between -1 and 1.
        width: Number of these columns; 0: the angle in the frame is always 0.
    """

    rest: Callable[[Tensor], Tensor]
    columns: Callable[[Tensor], Tensor]
    width: int


def rest_of_quarter_turns(angle: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    """Return what is left of angles after the nearest multiple of 90 degrees, within [-pi / 4, pi / 4]."""
    return angle - QUARTER * (angle / QUARTER).round()


def quarter_turn_columns(angle: Float[Tensor, "N"]) -> Float[Tensor, "N 2"]:
    """Return sin(rest) and cos(2 angle).

    Both together tell the direction up to half turns. The sine is the place on the grid: 0 along an axis, and at both
    ends of its range a diagonal. The absolute value of the cosine, cos(2 rest), is the same without the side, which
    mirror images share; its sign tells horizontal movements from vertical ones, which hands make differently.
    """
    return torch.stack([rest_of_quarter_turns(angle).sin(), (2.0 * angle).cos()], dim=1)


FRAMES: dict[str, Frame] = {
    "chord": Frame(torch.zeros_like, lambda angle: angle.new_empty(len(angle), 0), 0),
    "quarter_turn": Frame(rest_of_quarter_turns, quarter_turn_columns, 2),
}
