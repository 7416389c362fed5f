"""PID bot: a controller moves the pointer to the target, one loop for each axis of the screen.

The pointer is a unit mass with error e to the target and speed v; per axis, with q the natural frequency,

    dv/dt = q^2 e + Ki (integral of e) - 2 damping q v + noise,   |v| <= limit,

from rest, integrated over `TIME` units in `CONTROL_STEPS` steps, in units of the distance. The integral pauses while
the speed is limited (no windup), and the noise is proportional to the remaining distance. The loop ends when error and
the way of a unit of time are within the tolerance; the pointer is then put on the target. The path from start to end is
retimed as a whole to the requested duration: gains in seconds are those that settle in it.

References: Feedback Systems (Astrom & Murray, 2008), chapter 11.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.data.canonical import Canonical, rotate
from trainables.data.representation import interpolate
from trainables.detector.bots.bot import Bot, Following
from trainables.detector.bots.ranges import log_uniform, occasional, uniform

TIME = 40.0  # in 1 / q
CONTROL_STEPS = 400
DAMPING = (0.45, 1.1)  # from an overshoot of a fifth to a creeping approach
FREQUENCY = (0.85, 1.2)  # q of one axis: tuned by hand, so never quite the same
INTEGRAL = (0.5, (0.08, 0.25))  # probability, and Ki over q^3: stable while below twice the damping; many do without
NOISE = (0.002, 0.05)  # of the force, standard deviation over a unit of time, in distances
LIMIT = (0.06, 0.5)  # of the speed; 0.37 is the peak of a loop that is critically damped
TOLERANCE_PX = (1.0, 4.0)  # found in published loops: 1 to 3 px
LEAST_SHARE = 0.1  # of the distance: the most that the tolerance may be of a short way


class Gains(NamedTuple):
    """Gains of N bots; frequency, damping and integral per axis of the screen."""

    frequency: Float[Tensor, "N 2"]
    damping: Float[Tensor, "N 2"]
    integral: Float[Tensor, "N 2"]
    limit: Float[Tensor, "N 1"]
    noise: Float[Tensor, "N 1"]


def draw_gains(count: int, random: torch.Generator) -> Gains:
    """Draw gains: two axes with the same damping and integral gain, and different frequencies."""
    frequency = torch.cat([uniform(FREQUENCY, count, random) for _ in range(2)], dim=1)
    damping = uniform(DAMPING, count, random).expand(-1, 2)
    integral = occasional(*INTEGRAL, count, random) * frequency**3
    return Gains(frequency, damping, integral, log_uniform(LIMIT, count, random), log_uniform(NOISE, count, random))


def controlled(target: Float[Tensor, "N 2"], gains: Gains, random: torch.Generator) -> Float[Tensor, "N K 4"]:
    """Return positions and velocities from rest at the origin by control step (semi-implicit Euler)."""
    dt = TIME / CONTROL_STEPS
    position, speed, total = (torch.zeros_like(target) for _ in range(3))
    states = [torch.cat([position, speed], dim=1)]
    kicks = torch.randn(CONTROL_STEPS, *target.shape, generator=random, dtype=torch.float64) * gains.noise * dt**0.5
    for kick in kicks:
        error = target - position
        pull = gains.frequency**2 * error + gains.integral * total - 2.0 * gains.damping * gains.frequency * speed
        speed = speed + pull * dt + kick * error.norm(dim=1, keepdim=True).clamp(max=1.0)
        excess = speed.norm(dim=1, keepdim=True) / gains.limit
        speed, total = speed / excess.clamp(min=1.0), total + torch.where(excess < 1.0, error * dt, 0.0)
        position = position + speed * dt
        states.append(torch.cat([position, speed], dim=1))
    return torch.stack(states, dim=1)


def settled(
    states: Float[Tensor, "N K 4"], target: Float[Tensor, "N 2"], tolerance: Float[Tensor, "N 1"]
) -> Int[Tensor, "N 1"]:
    """Return the first control step at which the loop ends; the last one if it does not."""
    error = (states[..., :2] - target[:, None]).norm(dim=-1)
    ends = (error <= tolerance) & (states[..., 2:].norm(dim=-1) <= tolerance)
    ends[:, -1] = True
    first: Tensor = ends.to(torch.int8).argmax(dim=1, keepdim=True)
    return first


def pid(like: Canonical, progress: Float[Tensor, "N P"], random: torch.Generator) -> Float[Tensor, "N P 2"]:
    """Return the controlled path in the frame of the chord."""
    target = torch.stack([like.angle.cos(), like.angle.sin()], dim=1)
    states = controlled(target, draw_gains(len(like), random), random)
    tolerance = (uniform(TOLERANCE_PX, len(like), random) / like.distance_px[:, None]).clamp(max=LEAST_SHARE)
    last = settled(states, target, tolerance)
    path = rotate(states[..., :2], -like.angle)
    path[torch.arange(len(like)), last[:, 0]] = torch.tensor([1.0, 0.0], dtype=torch.float64)
    return interpolate(path, progress * last)


PID: dict[str, Bot] = {"pid": Bot("pid", Following(pid))}
