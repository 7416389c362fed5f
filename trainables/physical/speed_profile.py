"""Velocity of movements between their ticks, from a smoothing spline; its largest peak with the inflections beside it.

Whole pixels at 60 Hz have no inflections of their own: a spline between interpolation and smoothness is differentiated
in their place, at `FINENESS` points per tick.

References: Smoothing noisy data with spline functions (Craven & Wahba, 1978), doi:10.1007/BF01404567.
"""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.interpolate import make_smoothing_spline
from torch import Tensor

from trainables.data.config import RATE_HZ
from trainables.data.representation import prefix_mask
from trainables.physical.stroke_form import Peak
from trainables.physical.trajectories import Trajectories

FINENESS = 4
DT_S = 1.0 / (RATE_HZ * FINENESS)
SMOOTHING = 1.0  # weight of the squared second derivative, in ticks: rounding to pixels is gone, a 50 ms stroke is not
LEAST_PX_S = 1e-6  # of a speed whose logarithm is taken
LEAST_POINTS = 5  # of a smoothing spline


def velocities(trajectories: Trajectories) -> Float[Tensor, "N P 2"]:
    """Return the velocity in px/s at `FINENESS` points per tick, 0 behind the end of a movement."""
    path = filled(trajectories)
    points = (path.shape[1] - 1) * FINENESS + 1
    found = torch.zeros(len(path), points, 2, dtype=torch.float64)
    for length in trajectories.length.unique().tolist():
        rows = (trajectories.length == length).nonzero().squeeze(1)
        own = path[rows, : length + 1].transpose(0, 1).reshape(length + 1, -1).numpy()
        own = np.pad(own, ((0, max(LEAST_POINTS - len(own), 0)), (0, 0)), mode="edge")
        spline = make_smoothing_spline(np.arange(len(own)), own, lam=SMOOTHING)
        at = np.arange(length * FINENESS + 1) / FINENESS
        velocity = torch.from_numpy(spline.derivative()(at) * RATE_HZ)
        found[rows, : len(at)] = velocity.view(len(at), len(rows), 2).transpose(0, 1)
    return found


def filled(trajectories: Trajectories) -> Float[Tensor, "N T 2"]:
    """Return the positions with those of unobserved ticks on the line between the observed ones beside them."""
    observed, path = trajectories.observed, trajectories.position_px
    index = torch.arange(path.shape[1]).expand_as(observed)
    before = torch.where(observed, index, 0).cummax(dim=1).values
    after = torch.where(observed, index, path.shape[1] - 1).flip(1).cummin(dim=1).values.flip(1)
    share = ((index - before) / (after - before).clamp(min=1))[..., None]
    low, high = (path.gather(1, ends[..., None].expand_as(path)) for ends in (before, after))
    return low + share * (high - low)


def largest_peak(velocity: Float[Tensor, "N P 2"], length: Int[Tensor, "N"]) -> Peak:
    """Return the maximum of the speed of each movement, with the inflections beside it, or the ends for want of them.

    Args:
        length: Number of steps of each movement.
    """
    within = prefix_mask(length * FINENESS + 1, velocity.shape[1])
    speed = velocity.norm(dim=-1) * within
    top, place = speed.argmax(dim=1), torch.arange(speed.shape[1])
    bent = _turns_up(speed) & within
    left = torch.where(bent & (place < top[:, None]), place, -1).amax(dim=1)
    right = torch.where(bent & (place > top[:, None]), place, speed.shape[1]).amin(dim=1)
    last = length * FINENESS
    inside = torch.stack([left >= 0, right <= last], dim=1)
    points = torch.stack([left.clamp(min=0), top, torch.minimum(right, last)], dim=1)
    heading = torch.atan2(velocity[..., 1], velocity[..., 0]).gather(1, points)
    near = (place >= points[:, :1]) & (place <= points[:, 2:])
    ahead = _wrapped(heading - heading[:, 1:2]) + heading[:, 1:2]
    at_s, speeds = place.double() * DT_S, speed.gather(1, points).clamp(min=LEAST_PX_S)
    return Peak(points.double() * DT_S, speeds, ahead, inside, at_s, speed, near)


def _turns_up(speed: Float[Tensor, "N P"]) -> Bool[Tensor, "N P"]:
    """Return where the second difference of the speed is not negative; nowhere at both ends."""
    bent = torch.zeros_like(speed, dtype=torch.bool)
    bent[:, 1:-1] = speed[:, 2:] - 2 * speed[:, 1:-1] + speed[:, :-2] >= 0
    return bent


def _wrapped(angle: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
