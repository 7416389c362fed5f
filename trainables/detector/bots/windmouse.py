"""WindMouse bot: gravity towards the target, random wind, and a random speed limit.

Per event, at the distance r to the target, with a uniform in [-1, 1]^2 and b uniform in [1/2, 1]:

    wind <- wind / sqrt 3 + min(W, r) a / sqrt 5   beyond the radius D, else wind / sqrt 3
    v <- v + wind + G (unit vector to the target);   v <- b M v / |v| if |v| > M;   position <- position + v

Within D the longest step M shrinks by sqrt 5 each time, and is drawn from 3 to 6 px once it is under 3. Within a pixel
of the target the position is set to it.

The published settings are M, G, W, D = 15, 9, 3, 12 px. A script sets M for its speed; here M is such that the bot
reaches the target in about the requested time at its own interval, the others are proportional to M, and all intervals
are scaled by a common factor to the requested duration.

References: WindMouse, an algorithm for generating human-like mouse motion (Land, 2021), ben.land/post/2021/04/25.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.data.canonical import Canonical, Movements
from trainables.detector.bots.bot import Bot
from trainables.detector.bots.clock import OVERSHOOT, draw_duration_ms, draw_interval_ms, draw_rests
from trainables.detector.bots.events import emit
from trainables.detector.bots.ranges import uniform

SHORTEST_STEP_PX = 3.0  # of M; the published model never cuts steps shorter than that off
MEAN_STEP = 0.75  # of M, of steps that are cut off
GRAVITY = (0.45, 0.9)  # of M; published 0.6, and weaker ones may circle the target for long
WIND = (0.1, 0.5)  # of M; published 0.2
RADIUS = (0.5, 1.5)  # of M; published 0.8
MAX_EVENTS = (2.0, 100)  # factor of the events at the mean step, and more: then the bot is put on the target


class Forces(NamedTuple):
    """Settings of N bots in pixels per event, per event squared, and pixels."""

    step: Float[Tensor, "N 1"]
    gravity: Float[Tensor, "N 1"]
    wind: Float[Tensor, "N 1"]
    radius: Float[Tensor, "N 1"]


def draw_forces(like: Canonical, duration_ms: Float[Tensor, "N 1"], random: torch.Generator) -> Forces:
    """Draw forces of bots that need about the requested time."""
    count = len(like)
    events = (duration_ms / draw_interval_ms(count, random)).clamp(min=1.0)
    step = (like.distance_px[:, None] / (MEAN_STEP * events)).clamp(min=SHORTEST_STEP_PX)
    return Forces(step, *(step * uniform(law, count, random) for law in (GRAVITY, WIND, RADIUS)))


def blown(
    distance_px: Float[Tensor, "N"], forces: Forces, random: torch.Generator
) -> tuple[Float[Tensor, "N P 2"], Int[Tensor, "N 1"]]:
    """Return positions event by event from the origin to (distance, 0), then at rest, and the number of events."""
    target = torch.stack([distance_px, torch.zeros_like(distance_px)], dim=1)
    position, speed, wind = (torch.zeros_like(target) for _ in range(3))
    path, arrived, longest = [position], distance_px[:, None] < 1.0, forces.step
    way = distance_px[:, None] / (MEAN_STEP * forces.step)
    most = int(MAX_EVENTS[0] * float(way.max())) + MAX_EVENTS[1]
    while not bool(arrived.all()) and len(path) < most:
        gap = target - position
        r = gap.norm(dim=1, keepdim=True).clamp(min=1e-9)
        draw = torch.rand(len(target), 4, generator=random, dtype=torch.float64)
        far = r >= forces.radius
        gust = torch.minimum(forces.wind, r) * (2.0 * draw[:, :2] - 1.0) / 5**0.5
        wind = wind / 3**0.5 + torch.where(far, gust, 0.0)
        near = torch.where(longest < SHORTEST_STEP_PX, 3.0 + 3.0 * draw[:, 2:3], longest / 5**0.5)
        longest = torch.where(far, longest, near)
        speed = cut_off(speed + wind + forces.gravity * gap / r, longest, 0.5 + 0.5 * draw[:, 3:])
        moved = position + speed
        arrived = arrived | ((target - moved).norm(dim=1, keepdim=True) < 1.0)
        position = torch.where(arrived, target, moved)
        path.append(position)
    path[-1] = target
    positions = torch.stack(path, dim=1)
    away = (positions != target[:, None]).any(dim=-1)
    return positions, away.sum(dim=1, keepdim=True)


def cut_off(
    speed: Float[Tensor, "N 2"], longest: Float[Tensor, "N 1"], share: Float[Tensor, "N 1"]
) -> Float[Tensor, "N 2"]:
    """Reduce velocities over `longest` to the stated share of it."""
    size = speed.norm(dim=1, keepdim=True)
    return torch.where(size > longest, speed / size.clamp(min=1e-9) * longest * share, speed)


def windmouse(like: Canonical, random: torch.Generator) -> Movements:
    """Return the movements: own events, sleeps late by an exponential share, and a click on the target at the end."""
    duration_ms, rests = draw_duration_ms(like, random), draw_rests(len(like), random)
    path, count = blown(like.distance_px, draw_forces(like, duration_ms, random), random)
    late = torch.empty(path.shape[0], path.shape[1] - 1, dtype=torch.float64).exponential_(generator=random)
    sleeps = 1.0 + uniform(OVERSHOOT, len(like), random) * late
    spent = (sleeps * (torch.arange(1, path.shape[1]) <= count)).cumsum(dim=1)
    progress = torch.cat([torch.zeros(len(like), 1, dtype=torch.float64), spent / spent[:, -1:]], dim=1)
    t_ms = torch.cat([rests.time(progress), torch.ones(len(like), 1, dtype=torch.float64)], dim=1) * duration_ms
    t_ms[:, 0] = 0.0
    return emit(like, t_ms, torch.cat([path, path[:, -1:]], dim=1) / like.distance_px[:, None, None])


WINDMOUSE: dict[str, Bot] = {"windmouse": Bot("windmouse", windmouse)}
