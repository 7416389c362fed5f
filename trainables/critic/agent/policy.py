"""The actor of an agent: residual blocks on standardised inputs, state, goal and what lies between them.

Standardisation is by the environment and not by data, so that it is known before the first episode: positions by the
longest way or by the screen, velocities and steps by what the motor can make.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.critic.actor import Actor
from trainables.critic.agent.config import SCREEN
from trainables.critic.config import CriticModelConfig
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.motor import DT_S
from trainables.critic.episodes import ACTION, POSITION
from trainables.critic.networks import ResidualNetwork, Scale, with_waves

SPREAD = 4.0  # of the screen and of the largest speed, over their unit
NEAR = 8.0  # unit of positions over that of what lies between position and goal


def scale_of(environment: ReachingConfig, coordinates: str) -> Scale:
    """Return units and origin of states and steps in an environment."""
    size = torch.tensor([float(environment.width_px), float(environment.height_px)])
    on_screen = coordinates == SCREEN
    origin = size / 2.0 if on_screen else torch.zeros(POSITION)
    unit = size / SPREAD if on_screen else torch.full((POSITION,), environment.distance_px[1] / 2.0)
    speed = torch.full((POSITION,), environment.motor.max_speed_px_s / SPREAD)
    nothing = torch.zeros(POSITION)
    return Scale(torch.cat([origin, nothing]), torch.cat([unit, speed]), torch.zeros(ACTION), speed * DT_S)


class Inputs(nn.Module):
    """Standardised inputs of the actor and of Q: what is given, then goal minus position in both units.

    Attributes:
        columns: Number of its outputs for `STATE + extra` inputs beside the goal.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, scale: Scale, frequencies: int, *, action: bool) -> None:
        super().__init__()
        position_mean, position_std = scale.state_mean[:POSITION], scale.state_std[:POSITION]
        nothing = torch.zeros(POSITION)
        mean = [scale.state_mean, *([scale.action_mean] if action else []), position_mean, nothing, nothing]
        near = position_std / NEAR
        std = [scale.state_std, *([scale.action_std] if action else []), position_std, position_std, near]
        self.register_buffer("mean", torch.cat(mean))
        self.register_buffer("std", torch.cat(std))
        self.frequencies = frequencies
        self.columns = len(self.mean) * (1 + 2 * frequencies)

    def forward(self, given: Float[Tensor, "B I"]) -> Float[Tensor, "B J"]:
        """Return the inputs of a row of state, an action where there is one, and goal."""
        to_go = given[:, -POSITION:] - given[:, :POSITION]
        own = (torch.cat([given, to_go, to_go], dim=1) - self.mean) / self.std
        return with_waves(own, self.frequencies)


def actor_of(model: CriticModelConfig, scale: Scale) -> Actor:
    """Return an actor of the width and depth of the critic."""
    inputs = Inputs(scale, model.frequencies, action=False)
    return Actor(nn.Sequential(inputs, ResidualNetwork(inputs.columns, model)), model.embedding_dim, ACTION)


class QNetwork(nn.Module):
    """Q of states, steps in px, and goals, of the width and depth of the critic."""

    def __init__(self, model: CriticModelConfig, scale: Scale) -> None:
        super().__init__()
        self.inputs = Inputs(scale, model.frequencies, action=True)
        self.trunk = ResidualNetwork(self.inputs.columns, model)
        self.head = nn.Linear(model.embedding_dim, 1)

    def forward(
        self, state: Float[Tensor, "B 4"], step: Float[Tensor, "B 2"], goal: Float[Tensor, "B 2"]
    ) -> Float[Tensor, "B"]:
        """Return one value for each row."""
        q: Tensor = self.head(self.trunk(self.inputs(torch.cat([state, step, goal], dim=1))))
        return q.squeeze(1)
