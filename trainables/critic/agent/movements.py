"""Movements of an agent between the ends of recorded movements: the same way, the same target, one episode for each.

A task has the displacement of its movement in whole pixels, a start that is drawn where way and target have room on
the screen, and the recorded target width. Where none is known it is the narrowest of the agent's environment, but no
wider than the way is long, since a target must not hold the start. An episode begins at rest and ends as in an
evaluation: after 100 ms at rest inside of the target, or after `max_steps` steps. It is observed in whole pixels at
60 Hz, which the observation model leaves as they are.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.critic.agent.api import Agent
from trainables.critic.agent.collect import Act, origin_of, seen_from
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.reaching import Reaching
from trainables.critic.environment.tasks import Tasks, last_pixel
from trainables.critic.episodes import POSITION
from trainables.data.canonical import Canonical, Movements, rotate

NO_PLACE, MISSED = "without a place on its screen", "that did not reach the target"  # reasons to leave out


class AgentMovements(NamedTuple):
    """One movement for each row, with the group, target width and source of the row.

    Attributes:
        reached: Whether the movement ended at rest inside of its target.
    """

    movements: Movements
    reached: Bool[Tensor, "N"]


def agent_movements(agent: Agent, like: Canonical, seed: int) -> AgentMovements:
    """Return the movements of an agent, without exploration, between the ends of recorded movements.

    Raises:
        ConfigError: The agent's layout has obstacles, or a movement has no place on its screen (see `has_place`).
    """
    config, random = agent.config.environment, generator(seed, "agent movements")
    return movements_of(agent.act, config, agent.config.coordinates, like, random)


class ReachedMovements(NamedTuple):
    """Movements that reached their target.

    Attributes:
        rows: Row of the recorded movement of each, rising.
        left_out: Reason -> number of recorded movements without one.
    """

    movements: Movements
    rows: Int[Tensor, "M"]
    left_out: Mapping[str, int]


def reached_movements(agent: Agent, like: Canonical, seed: int) -> ReachedMovements:
    """Return those of an agent's movements that reached their target.

    Raises:
        ConfigError: The agent's layout has obstacles, or no movement has a place on its screen, or none is left.
    """
    fits = has_place(like, agent.config.environment)
    law = "`recorded movements with a place on the agent's screen >= 1`"
    require(bool(fits.any()), law, f"0 of {len(like)}", "take an agent of a larger screen")
    tried = fits.nonzero().squeeze(1)
    made, reached = agent_movements(agent, like.take(tried), seed)
    law = "`movements of the agent that reach their target >= 1`"
    require(bool(reached.any()), law, f"0 of {len(reached)}", "train it for longer")
    left_out = {NO_PLACE: int((~fits).sum()), MISSED: int((~reached).sum())}
    return ReachedMovements(made.take(reached.nonzero().squeeze(1)), tried[reached], left_out)


def movements_of(
    act: Act, config: ReachingConfig, coordinates: str, like: Canonical, random: torch.Generator
) -> AgentMovements:
    """Return the movements that any actions make, as `agent_movements` does."""
    tasks = tasks_like(like, config, random)
    environment = Reaching(config, len(like), random)
    origin, goal = origin_of(environment.reset(tasks), coordinates), tasks.goal
    running = torch.ones(len(like), dtype=torch.bool)
    reached, length, steps = torch.zeros_like(running), torch.zeros(len(like), dtype=torch.int64), []
    while bool(running.any()):
        before = environment.observation.state
        result = environment.step(act(*seen_from(origin, before, goal)))
        steps.append((result.final_state - before)[:, :POSITION] * running[:, None])
        length += running
        reached |= running & result.terminated
        running &= ~(result.terminated | result.truncated)
    made = Movements(torch.stack(steps, dim=1).double(), length, like.group, tasks.width.double(), like.source)
    return AgentMovements(made, reached)


def tasks_like(like: Canonical, config: ReachingConfig, random: torch.Generator) -> Tasks:
    """Return a task for each recorded movement, whose start is drawn.

    Raises:
        ConfigError: The layout has obstacles, or a movement has no place on the screen.
    """
    free = config.layout == "free"
    require(free, "an agent of `environment.layout=free`", f"layout={config.layout}", "recordings have no obstacles")
    without = (~has_place(like, config)).nonzero().flatten().tolist()
    got = f"{len(without)} without, the first of {like.distance_px[without[0]]:.0f} px" if without else ""
    screen = f"{config.width_px} x {config.height_px} px"
    law = f"movements whose start and target have room, apart from each other, on {screen}"
    require(not without, law, got, "leave them out or take an agent of a larger screen")
    way, width = _ways(like), _widths(like, config)
    low, high = _room(way, width, config)
    start = (low + (high - low) * torch.rand(len(like), POSITION, generator=random)).round()
    return Tasks(start, start + way, width)


def has_place(like: Canonical, config: ReachingConfig) -> Bool[Tensor, "N"]:
    """Return which movements can be tasks: start and target have room on the screen, apart from each other."""
    way, width = _ways(like), _widths(like, config)
    low, high = _room(way, width, config)
    apart: Bool[Tensor, N] = torch.linalg.vector_norm(way, dim=1) > width / 2.0
    return apart & (low <= high).all(dim=1)


def _ways(like: Canonical) -> Float[Tensor, "N 2"]:
    """Return the displacements in whole pixels."""
    along = torch.stack([like.distance_px, torch.zeros_like(like.distance_px)], dim=1)[:, None]
    return rotate(along, like.angle)[:, 0].round().float()


def _widths(like: Canonical, config: ReachingConfig) -> Float[Tensor, "N"]:
    """Return the target widths: the known ones, and the default of the others."""
    default = like.distance_px.clamp(max=config.target_width_px[0])
    return torch.where(like.target_width_px.isnan(), default, like.target_width_px).float()


def _room(
    way: Float[Tensor, "N 2"], width: Float[Tensor, "N"], config: ReachingConfig
) -> tuple[Float[Tensor, "N 2"], Float[Tensor, "N 2"]]:
    """Return the least and the largest start in whole pixels; the least is larger where there is no room."""
    radius, last = width[:, None] / 2.0, last_pixel(config)
    return (radius - way).clamp(min=0.0).ceil(), torch.minimum(last, last - radius - way).floor()
