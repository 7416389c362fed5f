"""Episodes of an agent: copies of the environment for a round of steps, as rows of the buffer.

A round begins with new episodes in every copy and ends after `max_steps` steps, where the running episodes are left:
what they reached is goals as well as that of the others. So nothing but the buffer is carried from round to round. The
stored action is the observed step in whole pixels, which recordings have as well, and the last state of an episode has
a row of its own, without a step.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.critic.actor import Actor, draw, median_action
from trainables.critic.agent.config import SCREEN
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.reaching import Observation, Reaching
from trainables.critic.episodes import POSITION, Episodes

Act = Callable[[Float[Tensor, "N 4"], Float[Tensor, "N 2"]], Float[Tensor, "N 2"]]
"""State and goal, in the coordinates of the agent -> actions in [-1, 1]."""


class Round(NamedTuple):
    """Episodes of a round with the number of those that ended, and of those that reached their target."""

    episodes: Episodes
    ended: int
    reached: int


def exploring(actor: Actor, random: torch.Generator, without_noise: float = 0.0) -> Act:
    """Return the actor with the noise of its policy, but for a share of the copies, the first ones."""

    @torch.no_grad()
    def act(state: Tensor, goal: Tensor) -> Tensor:
        device = next(actor.parameters()).device
        eps = torch.randn(len(state), POSITION, generator=random)
        policy = actor(state.to(device), goal.to(device))
        quiet = (torch.arange(len(state), device=device) < without_noise * len(state))[:, None]
        return torch.where(quiet, median_action(policy), draw(policy, eps.to(device)).action).cpu()

    return act


def deterministic(actor: Actor) -> Act:
    """Return the actor without noise."""

    @torch.no_grad()
    def act(state: Tensor, goal: Tensor) -> Tensor:
        device = next(actor.parameters()).device
        return median_action(actor(state.to(device), goal.to(device))).cpu()

    return act


def origin_of(observation: Observation, coordinates: str) -> Float[Tensor, "N 2"]:
    """Return where positions are counted from in episodes that begin with an observation."""
    start = observation.state[:, :POSITION]
    return torch.zeros_like(start) if coordinates == SCREEN else start


def seen_from(
    origin: Float[Tensor, "N 2"], state: Float[Tensor, "N 4"], goal: Float[Tensor, "N 2"]
) -> tuple[Float[Tensor, "N 4"], Float[Tensor, "N 2"]]:
    """Return state and goal with positions from the origin."""
    return torch.cat([state[:, :POSITION] - origin, state[:, POSITION:]], dim=1), goal - origin


def collect(act: Act, config: ReachingConfig, copies: int, random: torch.Generator, coordinates: str) -> Round:
    """Return the episodes of a round of `max_steps` steps of so many copies."""
    environment = Reaching(config, copies, random)
    origin = origin_of(environment.observation, coordinates)
    before, after, ends, reached = [], [], [], 0
    for _ in range(config.max_steps):
        observation = environment.observation
        state, goal = seen_from(origin, observation.state, observation.goal)
        result = environment.step(act(state, goal))
        before.append(state)
        after.append(seen_from(origin, result.final_state, observation.goal)[0])
        ends.append(result.terminated | result.truncated)
        reached += int(result.terminated.sum())
        origin = torch.where(ends[-1][:, None], origin_of(result.observation, coordinates), origin)
    return Round(
        rows_of(torch.stack(before, dim=1), torch.stack(after, dim=1), torch.stack(ends, dim=1)),
        int(torch.stack(ends).sum()),
        reached,
    )


def rows_of(before: Float[Tensor, "N T 4"], after: Float[Tensor, "N T 4"], ends: Bool[Tensor, "N T"]) -> Episodes:
    """Return the episodes of copies from the states before and after each step, and the steps that end an episode."""
    last = ends.clone()
    last[:, -1] = True
    step = (after - before)[..., :POSITION]
    kept = torch.stack([torch.ones_like(last), last], dim=2).flatten()
    state = torch.stack([before, after], dim=2).flatten(0, 2)[kept]
    action = torch.stack([step, torch.zeros_like(step)], dim=2).flatten(0, 2)[kept]
    at = torch.stack([torch.zeros_like(last), last], dim=2).flatten()[kept].nonzero().squeeze(1)
    return Episodes(state, action, at.diff(prepend=at.new_tensor([-1])))
