"""Batches of an agent: sampled transitions with the state after each, the goals of its actor, and ends of episodes."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.critic.buffer import Buffer
from trainables.critic.episodes import POSITION


class Batch(NamedTuple):
    """Transitions on the device of the networks.

    Attributes:
        state, action: State, and the observed step from it in px.
        after: State after the step.
        goal: A later position of the same episode.
        wanted: Position that the actor is to reach: the goal of this row, or of another one.
        end: Last position of the episode.
        trajectory: Number of the episode.
    """

    state: Float[Tensor, "B 4"]
    action: Float[Tensor, "B 2"]
    after: Float[Tensor, "B 4"]
    goal: Float[Tensor, "B 2"]
    wanted: Float[Tensor, "B 2"]
    end: Float[Tensor, "B 2"]
    trajectory: Int[Tensor, "B"]


def sample(
    buffer: Buffer,
    size: int,
    gamma: float,
    other_goals: float,
    random: torch.Generator,
    device: torch.device,
) -> Batch:
    """Return a batch of the buffer; in a share of its rows the wanted position is the goal of the row before.

    Raises:
        ConfigError: There are fewer episodes than rows of the batch.
    """
    drawn = buffer.sample(size, gamma, random)
    after = buffer.state[(drawn.row + 1) % buffer.capacity]
    end = buffer.state[(drawn.row + buffer.remaining[drawn.row]) % buffer.capacity][:, :POSITION]
    other = torch.rand(size, generator=random) < other_goals
    wanted = torch.where(other[:, None], drawn.goal.roll(1, dims=0), drawn.goal)
    parts = (drawn.state, drawn.action, after, drawn.goal, wanted, end, drawn.trajectory)
    return Batch(*(part.to(device) for part in parts))
