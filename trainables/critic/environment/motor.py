"""From action to movement: a command of velocity, signal-dependent noise, and a muscle that follows with a delay.

An action u in [-1, 1]^2 commands the velocity w = u max_speed. The executed command carries noise whose standard
deviation is proportional to the size of the command, and the velocity follows it like a low-pass filter of the first
order, the simplest model of a muscle:

    w~ = w + noise |w| eps,   eps ~ N(0, I)
    v' = v + c (w~ - v),      c = 1 - exp(-dt / time_constant)
    x' = x + v' dt

Why velocities and not accelerations or steps: with a command of steps the fastest movement is a jump, and with one of
accelerations random actions drift to the edge of the screen and rest is an unlikely event. Here speed rises and falls
over some 100 ms, fast ways are inaccurate, an action of 0 brings the pointer to rest, and position and velocity are the
whole state. Without command there is no noise: a pointer at rest stays where it is.

The critic sees an action as the step in pixels that it makes, `expected_step`, which recordings have as well;
`action_of` inverts it, so that a recorded step has its action.

References: Signal-dependent noise determines motor planning (Harris & Wolpert, 1998), doi:10.1038/29528: the law; The
    role of execution noise in movement variability (van Beers, Haggard & Wolpert, 2004), doi:10.1152/jn.00652.2003: its
    coefficient 0.103, applied per control step as in Reinforcement learning control of a biomechanical model of the
    upper extremity (Fischer et al., 2021), doi:10.1038/s41598-021-93760-1; Stochastic optimal control and estimation
    methods adapted to the noise characteristics of the sensorimotor system (Todorov, 2005): muscles with a
    time constant of 40 ms.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.critic.environment.config import MotorConfig
from trainables.data.config import RATE_HZ

DT_S = 1.0 / RATE_HZ


def response(motor: MotorConfig) -> float:
    """Return c, the share of the difference to the command by which the velocity changes in a step."""
    return -math.expm1(-DT_S / motor.time_constant_s)


def next_velocity(
    velocity: Float[Tensor, "*N 2"], action: Float[Tensor, "*N 2"], eps: Float[Tensor, "*N 2"], motor: MotorConfig
) -> Float[Tensor, "*N 2"]:
    """Return v' in px/s from v, the action and standard normal numbers."""
    command = action * motor.max_speed_px_s
    executed = torch.addcmul(command, eps, torch.linalg.vector_norm(command, dim=-1, keepdim=True), value=motor.noise)
    return torch.lerp(velocity, executed, response(motor))


def expected_step(
    velocity: Float[Tensor, "*N 2"], action: Float[Tensor, "*N 2"], motor: MotorConfig
) -> Float[Tensor, "*N 2"]:
    """Return the step in px that an action makes in free space on average; differentiable by the action."""
    return torch.lerp(velocity, action * motor.max_speed_px_s, response(motor)) * DT_S


def action_of(
    velocity: Float[Tensor, "*N 2"], step_px: Float[Tensor, "*N 2"], motor: MotorConfig
) -> Float[Tensor, "*N 2"]:
    """Return the action whose expected step is the given one; outside of [-1, 1] where none makes it."""
    return (velocity + (step_px / DT_S - velocity) / response(motor)) / motor.max_speed_px_s
