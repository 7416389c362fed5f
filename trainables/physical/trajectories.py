"""Movements as a fit sees them: positions in pixels at ticks of 60 Hz, from (0, 0), the chord along +x."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.data.canonical import Canonical, decode, rotate
from trainables.data.config import RATE_HZ, CanonicalConfig
from trainables.data.representation import prefix_mask


@dataclass(frozen=True, eq=False)
class Trajectories:
    """N movements at T ticks at most.

    Attributes:
        position_px: At each tick; behind the end of a movement its last one.
        length: Number of steps of each movement.
        observed: The ticks that a fit may use.
    """

    position_px: Float[Tensor, "N T 2"]
    length: Int[Tensor, "N"]
    observed: Bool[Tensor, "N T"]

    @classmethod
    def of(cls, movements: Canonical, canonical: CanonicalConfig) -> "Trajectories":
        """Return movements on the screen again, turned so that each has its chord along +x."""
        placed = decode(movements, canonical)
        steps = rotate(placed.steps_px, -movements.angle.double())
        path = torch.cat([torch.zeros(len(steps), 1, 2, dtype=torch.float64), steps.cumsum(dim=1)], dim=1)
        whole = cls(path, placed.length, prefix_mask(placed.length + 1, path.shape[1]))
        return whole.take(torch.arange(len(whole)))

    def __len__(self) -> int:
        return len(self.length)

    def take(self, rows: Int[Tensor, "M"]) -> "Trajectories":
        """Return the movements at `rows`, in that order, cut to the longest of them."""
        ticks = int(self.length[rows].max()) + 1 if len(rows) else 1
        return Trajectories(self.position_px[rows, :ticks], self.length[rows], self.observed[rows, :ticks])

    @cached_property
    def t_s(self) -> Float[Tensor, "N T"]:
        """Times of the ticks, from 0."""
        ticks = torch.arange(self.position_px.shape[1], dtype=torch.float64)
        return (ticks / RATE_HZ).expand(len(self), -1)

    @cached_property
    def ticks(self) -> Bool[Tensor, "N T"]:
        """Which ticks a movement has."""
        return prefix_mask(self.length + 1, self.position_px.shape[1])

    @property
    def held_out(self) -> Bool[Tensor, "N T"]:
        """Which of them a fit may not use."""
        return self.ticks & ~self.observed

    @property
    def most_strokes(self) -> Int[Tensor, "N"]:
        """Return the most strokes of each movement: one per 100 ms, and at least one."""
        return (self.length * 10).div(RATE_HZ, rounding_mode="floor").long().clamp(min=1)

    def holding_out(self, share: float, random: torch.Generator) -> "Trajectories":
        """Return the same movements with a share of their ticks held out by chance, none at an end."""
        drawn = torch.rand(self.ticks.shape, generator=random, dtype=torch.float64) < share
        inner = prefix_mask(self.length, self.position_px.shape[1])
        inner[:, 0] = False
        return Trajectories(self.position_px, self.length, self.ticks & ~(drawn & inner))
