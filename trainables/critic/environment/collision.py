"""Collision with axis-aligned rectangles along the whole segment of a step: the pointer slides along what it meets.

The segment ends where it would enter the open inside of a rectangle; the component that points into the side is lost,
and the rest of the step continues along the side, as a pointer does at the edge of a screen. That rest is parallel to
an axis, so a second side that it meets ends it: two passes are exact. Sides belong to the outside, so a pointer that
touches one moves along it freely. A pointer that meets a corner in both axes at once loses its x component.

Floating point ends no step inside: a contact sets the coordinate to that of the side, and all shares are of the whole
step from its start, never from a contact, whose other coordinate may be rounded beyond a second side.

References: Real-Time Collision Detection (Ericson, 2004), section 5.3.3, the slabs of a box.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

ROUNDING = 1e-6  # of shares of a step


class Moved(NamedTuple):
    """Ends of steps, and the axes along which something was in the way."""

    position: Float[Tensor, "N 2"]
    blocked: Bool[Tensor, "N 2"]


def slide(position: Float[Tensor, "N 2"], step: Float[Tensor, "N 2"], rectangles: Float[Tensor, "R 4"]) -> Moved:
    """Return where steps end that start outside of all rectangles; most are far from any, and are only added."""
    end = position + step
    blocked = torch.zeros_like(end, dtype=torch.bool)
    [near] = _may_meet(position, end, rectangles).nonzero(as_tuple=True)
    if len(near):
        end[near], blocked[near] = _slide_near(position[near], step[near], rectangles)
    return Moved(end, blocked)


def keep_on_screen(position: Float[Tensor, "N 2"], step: Float[Tensor, "N 2"], last: Float[Tensor, "2"]) -> Moved:
    """Return what `slide` returns where the edges of the screen are all there is: positions up to `last`."""
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


def _may_meet(
    position: Float[Tensor, "N 2"], end: Float[Tensor, "N 2"], rectangles: Float[Tensor, "R 4"]
) -> Bool[Tensor, "N"]:
    """Return which segments have a bounding box that touches a rectangle."""
    (low_x, low_y), (high_x, high_y) = (pick(position, end).unbind(dim=1) for pick in (torch.minimum, torch.maximum))
    left, top, right, bottom = rectangles.T[..., None]
    touches: Bool[Tensor, "R N"] = (high_x >= left) & (low_x <= right) & (high_y >= top) & (low_y <= bottom)
    return touches.any(dim=0)


def _slide_near(position: Float[Tensor, "N 2"], step: Float[Tensor, "N 2"], rectangles: Float[Tensor, "R 4"]) -> Moved:
    first = _first_contact(position, step, rectangles, torch.zeros_like(position[:, 0]))
    end, blocked = torch.where(first.blocked, first.side, position + step), first.blocked
    [again] = blocked.any(dim=1).nonzero(as_tuple=True)
    if len(again):
        at_side = torch.where(blocked[again], end[again], position[again])
        along = step[again].masked_fill(blocked[again], 0.0)
        second = _first_contact(at_side, along, rectangles, first.share[again] - ROUNDING)
        end[again] = torch.where(second.blocked, second.side, end[again])
        blocked[again] |= second.blocked
    return Moved(end, blocked)


class Contact(NamedTuple):
    """First contacts of segments: the blocked axis, if any, the coordinates of the side, and the share of the step."""

    blocked: Bool[Tensor, "N 2"]
    side: Float[Tensor, "N 2"]
    share: Float[Tensor, "N"]


def _first_contact(
    position: Float[Tensor, "N 2"],
    step: Float[Tensor, "N 2"],
    rectangles: Float[Tensor, "R 4"],
    since: Float[Tensor, "N"],
) -> Contact:
    """Return the first contact of each segment that is not before the share `since` of its step.

    A segment is inside of a rectangle between the last entry into its two slabs and the first exit. Division by a
    component of 0 gives infinities of the right signs, and NaN for a segment along a side, which is no contact.
    """
    x, d = position.T[:, None], step.T[:, None]  # [2, 1, N]
    low, high = rectangles.T[:2, :, None], rectangles.T[2:, :, None]  # [2, R, 1]
    to_low, to_high = (low - x) / d, (high - x) / d
    near, far = torch.minimum(to_low, to_high), torch.maximum(to_low, to_high)
    entry = torch.maximum(near[0], near[1])
    meets = (entry >= since) & (entry <= 1.0) & (entry < torch.minimum(far[0], far[1]))
    share, which = entry.masked_fill(~meets, torch.inf).min(dim=0)
    along_x = near[0].gather(0, which[None])[0] >= near[1].gather(0, which[None])[0]
    contact = share <= 1.0
    blocked = torch.stack([contact & along_x, contact & ~along_x], dim=1)
    return Contact(blocked, torch.where(step > 0.0, rectangles[which, :2], rectangles[which, 2:]), share)
