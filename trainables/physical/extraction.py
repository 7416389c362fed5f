"""Greedy extraction: the largest peak of the speed becomes a stroke, which is taken away as a vector, and again.

What it returns are the initial values of a joint optimisation. Strokes that are refined one by one on the way explain
what later ones are for, and the joint optimisation then starts from a worse place.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.physical.speed_profile import DT_S, largest_peak, velocities
from trainables.physical.stroke_form import StrokeForm
from trainables.physical.trajectories import Trajectories

LEAST_PX_S = 60.0  # speed of a stroke: a pixel per tick, below which steps of 0 and 1 px are all there is


@dataclass(frozen=True, eq=False)
class StrokeSets:
    """K strokes of each of N movements, in the order of extraction; only those that are `present` count.

    Attributes:
        free: Their free parameters, the prior's mean where there is none.
    """

    free: Float[Tensor, "N K J"]
    present: Bool[Tensor, "N K"]

    def __len__(self) -> int:
        return len(self.free)

    def take(self, rows: Int[Tensor, "M"]) -> "StrokeSets":
        """Return the strokes of the movements at `rows`."""
        return StrokeSets(self.free[rows], self.present[rows])

    @property
    def count(self) -> Int[Tensor, "N"]:
        """Return the number of strokes of each movement."""
        return self.present.sum(dim=1)

    def path(self, form: StrokeForm, t_s: Float[Tensor, "N T"]) -> Float[Tensor, "N T 2"]:
        """Return the sum of the strokes' displacements since the first of the times."""
        return since_first((form.displacement(self.free, t_s) * self.present[..., None, None]).sum(dim=1))


def since_first(path: Float[Tensor, "*S T 2"]) -> Float[Tensor, "*S T 2"]:
    """Return positions relative to the first one."""
    return path - path[..., :1, :]


def extract(trajectories: Trajectories, form: StrokeForm) -> StrokeSets:
    """Return initial values of the strokes of each movement, the largest first: at most one per 100 ms."""
    mean, _ = form.prior
    most = trajectories.most_strokes
    free = mean.expand(len(trajectories), int(most.max()), len(mean)).clone()
    present = torch.zeros(free.shape[:2], dtype=torch.bool)
    left = velocities(trajectories)
    at_s = (torch.arange(left.shape[1], dtype=torch.float64) * DT_S).expand(len(left), -1)
    for k in range(free.shape[1]):
        peak = largest_peak(left, trajectories.length)
        found = (peak.speed[:, 1] >= LEAST_PX_S) & (k < most)
        if k == 0:
            found[:] = True
        rows = found.nonzero().squeeze(1)
        free[rows, k], present[rows, k] = form.initial(peak)[rows], True
        moved = form.displacement(free[rows, k : k + 1], at_s[rows]).squeeze(1)
        left[rows] -= torch.gradient(moved, spacing=DT_S, dim=1)[0]
    return StrokeSets(free, present)
