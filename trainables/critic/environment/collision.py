"""Collision with axis-aligned rectangles along the whole segment of a step: the pointer slides along what it meets.

The segment ends where it would enter the open inside of a rectangle; the component that points into the side is lost,
and the rest of the step continues along the side, as a pointer does at the edge of a screen. That rest is parallel to
an axis, so a second side that it meets ends it: two passes are exact. Sides belong to the outside, so a pointer that
touches one moves along it freely. A pointer that meets a corner from outside in both axes at once loses its x component.

Floating point ends no step inside: a contact sets the coordinate to that of the side, and where the end of a free
segment rounds beyond a side, the share of the segment at the side rounds to 1 or less, which is a contact.

References: Real-Time Collision Detection (Ericson, 2004), section 5.3.3, the slabs of a box.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Moved(NamedTuple):
    """Ends of steps, and the axes along which something was in the way."""

    position: Float[Tensor, "N 2"]
    blocked: Bool[Tensor, "N 2"]


def slide(position: Float[Tensor, "N 2"], step: Float[Tensor, "N 2"], rectangles: Float[Tensor, "R 4"]) -> Moved:
    """Return where steps end that start outside of all rectangles."""
    end, blocked, rest = _until_contact(position, step, rectangles)
    [again] = blocked.any(dim=1).nonzero(as_tuple=True)
    if len(again):
        moved, second, _ = _until_contact(end[again], rest[again], rectangles)
        end[again] = moved
        blocked[again] |= second
    return Moved(end, blocked)


def keep_on_screen(position: Float[Tensor, "N 2"], step: Float[Tensor, "N 2"], last: Float[Tensor, "2"]) -> Moved:
    """Return what `slide` returns where the edges of the screen are all there is: positions up to `last` in each axis."""
    end = position + step
    kept = torch.minimum(end.clamp(min=0.0), last)
    return Moved(kept, kept != end)


def inside(position: Float[Tensor, "N 2"], rectangles: Float[Tensor, "R 4"]) -> Bool[Tensor, "N"]:
    """Return which positions lie in the open inside of a rectangle."""
    low, high = rectangles[:, None, :2], rectangles[:, None, 2:]
    return ((position > low) & (position < high)).all(dim=-1).any(dim=0)


def clearance(position: Float[Tensor, "N 2"], rectangles: Float[Tensor, "R 4"]) -> Float[Tensor, "N"]:
    """Return the distance to the nearest rectangle, 0 inside of one and infinity where there is none."""
    low, high = rectangles[:, None, :2], rectangles[:, None, 2:]
    apart = torch.maximum(low - position, position - high).clamp(min=0.0)
    far = apart.new_full((1, len(position)), torch.inf)
    return torch.cat([torch.linalg.vector_norm(apart, dim=-1), far]).amin(dim=0)


def _until_contact(
    position: Float[Tensor, "N 2"], step: Float[Tensor, "N 2"], rectangles: Float[Tensor, "R 4"]
) -> tuple[Float[Tensor, "N 2"], Bool[Tensor, "N 2"], Float[Tensor, "N 2"]]:
    """Return the end of the segment or its first contact, the axis of that contact, and what is left of the step.

    A segment is inside of a rectangle between the last entry into its two slabs and the first exit. Division by a
    component of 0 gives infinities of the right signs, and NaN for a segment along a side, which is no contact.
    """
    x, d = position.T[:, None], step.T[:, None]  # [2, 1, N]
    low, high = rectangles.T[:2, :, None], rectangles.T[2:, :, None]  # [2, R, 1]
    to_low, to_high = (low - x) / d, (high - x) / d
    near, far = torch.minimum(to_low, to_high), torch.maximum(to_low, to_high)
    entry = torch.maximum(near[0], near[1])
    meets = (entry >= 0.0) & (entry <= 1.0) & (entry < torch.minimum(far[0], far[1]))
    time, which = entry.masked_fill(~meets, torch.inf).min(dim=0)
    contact = time <= 1.0
    share = time.clamp(max=1.0)[:, None]
    along_x = near[0].gather(0, which[None])[0] >= near[1].gather(0, which[None])[0]
    blocked = torch.stack([contact & along_x, contact & ~along_x], dim=1)
    side = torch.where(step > 0.0, rectangles[which, :2], rectangles[which, 2:])
    end = torch.where(blocked, side, torch.addcmul(position, step, share))
    return end, blocked, ((1.0 - share) * step).masked_fill(blocked, 0.0)
