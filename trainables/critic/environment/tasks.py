"""Tasks of episodes, a start and a target each, drawn uniformly and kept where they are allowed.

The start is uniform on the screen, direction, distance and width of the target are uniform in their ranges; a draw is
kept if start and target are free: the target is a disc that lies on the screen, meets no obstacle and does not hold
the start. With `detour` the straight way between them meets an obstacle. Many are drawn at once and handed out one
after another, so that an ended episode costs no draw of its own.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.core.config import require
from trainables.critic.environment.collision import clearance, inside, slide
from trainables.critic.environment.config import ReachingConfig

DRAWS = 16_384  # at once
LEAST_SHARE = 1e-3  # of the draws that are allowed; below it an episode takes thousands of draws


class Tasks(NamedTuple):
    """N tasks: where the pointer starts, at rest, and the disc that it is to reach; px."""

    start: Float[Tensor, "N 2"]
    goal: Float[Tensor, "N 2"]
    width: Float[Tensor, "N"]

    def take(self, rows: slice | Bool[Tensor, "M"]) -> "Tasks":
        """Return the tasks of some rows."""
        return Tasks(*(part[rows] for part in self))


def draw(config: ReachingConfig, count: int, random: torch.Generator) -> Tasks:
    """Draw as many candidates: their starts lie on the screen, nothing else is ensured."""
    uniform = torch.rand(6, count, generator=random, device=random.device)
    distance, width = (
        low + (high - low) * share
        for (low, high), share in zip((config.distance_px, config.target_width_px), uniform[:2], strict=True)
    )
    start = uniform[2:4].T * last_pixel(config).to(random.device)
    angle = 2.0 * torch.pi * uniform[4]
    return Tasks(start, start + distance[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1), width)


def allowed(tasks: Tasks, config: ReachingConfig, obstacles: Float[Tensor, "R 4"]) -> Bool[Tensor, "N"]:
    """Return which tasks have a free start and a free target of some width, on the screen, away from each other."""
    start, goal, width = tasks
    radius, last = width[:, None] / 2.0, last_pixel(config).to(start.device)
    on_screen = ((goal >= radius) & (goal <= last - radius) & (start >= 0.0) & (start <= last)).all(dim=1)
    apart = torch.linalg.vector_norm(goal - start, dim=1) > radius[:, 0]
    free: Bool[Tensor, N] = on_screen & apart & (width > 0.0) & ~inside(start, obstacles)
    return free & (clearance(goal, obstacles) >= radius[:, 0])


def last_pixel(config: ReachingConfig) -> Float[Tensor, "2"]:
    """Return the largest position of each axis."""
    return torch.tensor([config.width_px - 1.0, config.height_px - 1.0])


class TaskSource:
    """Endless allowed tasks in the order in which they were drawn.

    Raises:
        ConfigError: hardly any draw is allowed.
    """

    def __init__(self, config: ReachingConfig, obstacles: Float[Tensor, "R 4"], random: torch.Generator) -> None:
        self._config, self._obstacles, self._random = config, obstacles, random
        self._stock = self._refilled()

    def next(self, count: int) -> Tasks:
        """Return the next tasks."""
        while len(self._stock.width) < count:
            more = self._refilled()
            self._stock = Tasks(*(torch.cat(parts) for parts in zip(self._stock, more, strict=True)))
        taken, self._stock = self._stock.take(slice(count)), self._stock.take(slice(count, None))
        return taken

    def _refilled(self) -> Tasks:
        drawn = draw(self._config, DRAWS, self._random)
        free = allowed(drawn, self._config, self._obstacles)
        if self._config.detour:
            free &= slide(drawn.start, drawn.goal - drawn.start, self._obstacles).blocked.any(dim=1)
        share = float(free.float().mean())
        require(
            share >= LEAST_SHARE,
            f"room for targets on the screen in {LEAST_SHARE:.1%} of the draws or more",
            f"{share:.2%} with layout={self._config.layout}, distance_px and target_width_px",
            "lower them or take a larger screen",
        )
        return drawn.take(free)
