"""A scripted controller as baseline: it moves straight at the target, with a speed that rises and falls like a bell.

The commanded speed is proportional to the distance to go, and above the present speed by no more than `rise_px_s`: it
rises along a ramp and falls as the target comes near. An unlimited rise is the proportional controller.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.critic.environment.config import MotorConfig
from trainables.critic.environment.reaching import Observation

GAIN_PER_S = 6.0  # of the distance to go: the last third of a way takes 180 ms
RISE_PX_S = 800.0  # above the present speed; 270 px/s in a step, after the delay of the muscle


def bell_shaped(
    observation: Observation, motor: MotorConfig, gain_per_s: float = GAIN_PER_S, rise_px_s: float = RISE_PX_S
) -> Float[Tensor, "N 2"]:
    """Return the actions of the controller with a limited rise."""
    to_go = observation.goal - observation.state[:, :2]
    distance = torch.linalg.vector_norm(to_go, dim=1, keepdim=True)
    speed = torch.linalg.vector_norm(observation.state[:, 2:], dim=1, keepdim=True)
    wanted = torch.minimum(gain_per_s * distance, speed + rise_px_s)
    action: Tensor = to_go / distance.clamp(min=1.0) * wanted / motor.max_speed_px_s
    return action.clamp(-1.0, 1.0)


def proportional(observation: Observation, motor: MotorConfig, gain_per_s: float = GAIN_PER_S) -> Float[Tensor, "N 2"]:
    """Return the actions of the controller whose speed is proportional to the distance to go."""
    return bell_shaped(observation, motor, gain_per_s, math.inf)


Controller = Callable[[Observation, MotorConfig], Float[Tensor, "N 2"]]
CONTROLLERS: dict[str, Controller] = {"bell-shaped": bell_shaped, "proportional": proportional}
