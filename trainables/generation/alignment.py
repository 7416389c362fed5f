"""Chord alignment: a sample turned and scaled onto the net displacement that was asked for.

A network has the distance as its condition and keeps it roughly: before alignment samples of the default model missed
it by 23 % in the median. Turning and scaling all steps alike, before they are rounded to pixels, closes the gap and
leaves the shape, the changes of heading and still steps as they are. A sample whose net displacement is under
1 / `REACH` of the requested one, or over `REACH` of it, is left alone: it is not the movement that was asked for, and
says so.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.data.canonical import Canonical, with_deltas
from trainables.data.splits.statistics import Statistics

REACH = 4.0


def aligned(z: Float[Tensor, "N T C"], frame: Canonical, statistics: Statistics) -> Float[Tensor, "N T C"]:
    """Return standardised samples whose net displacement is that of `frame`, zero under the mask; a row at a time."""
    deltas = statistics.denormalise(z, frame)
    x, y = deltas[..., 0], deltas[..., 1]
    net_x, net_y = (channel.cumsum(dim=1)[:, -1:] for channel in (x, y))  # in order, whatever the other rows are
    square = net_x.square() + net_y.square()
    close = (square >= REACH**-2) & (square <= REACH**2)
    a, b = (torch.where(close, part / square, still) for part, still in ((net_x, 1.0), (-net_y, 0.0)))
    moved = torch.stack([a * x - b * y, a * y + b * x, *deltas[..., 2:].unbind(-1)], dim=-1)
    return statistics.normalise(with_deltas(frame, moved))
