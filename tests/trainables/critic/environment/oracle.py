"""The reaching environment of one copy in plain loops over Python floats: what the vectorised one is to be."""

import math
from dataclasses import dataclass, field

from trainables.critic.environment.config import ReachingConfig

Pair = list[float]
Sides = tuple[float, float, float, float]


def first_contact(position: Pair, step: Pair, obstacles: list[Sides]) -> tuple[float, int, float] | None:
    """Return share of the step, axis and coordinate of the first side that a step enters through; x before y."""
    found = []
    for sides in obstacles:
        for axis in (0, 1):
            other, way = 1 - axis, step[axis]
            if way == 0.0:
                continue
            side = sides[axis] if way > 0 else sides[axis + 2]
            share = (side - position[axis]) / way
            at, low, high = position[other] + share * step[other], sides[other], sides[other + 2]
            enters = low < at < high or (at == low and step[other] > 0) or (at == high and step[other] < 0)
            if 0.0 <= share <= 1.0 and enters:
                found.append((share, axis, side))
    return min(found) if found else None


def moved(position: Pair, step: Pair, obstacles: list[Sides]) -> tuple[Pair, list[bool]]:
    """Return the end of a step that slides along what it meets, and the blocked axes."""
    position, step, blocked = list(position), list(step), [False, False]
    while (contact := first_contact(position, step, obstacles)) is not None:
        share, axis, side = contact
        position = [position[a] + share * step[a] for a in (0, 1)]
        step = [(1.0 - share) * step[a] for a in (0, 1)]
        position[axis], step[axis], blocked[axis] = side, 0.0, True
    return [position[a] + step[a] for a in (0, 1)], blocked


def outside_of(config: ReachingConfig) -> list[Sides]:
    """Return four rectangles around the screen."""
    right, bottom, far = config.width_px - 1.0, config.height_px - 1.0, 1e9
    return [(-far, -far, 0.0, far), (right, -far, far, far), (-far, -far, far, 0.0), (-far, bottom, far, far)]


@dataclass
class Copy:
    """One pointer on its way to one target."""

    config: ReachingConfig
    obstacles: list[Sides]
    position: Pair
    goal: Pair
    width: float
    velocity: Pair = field(default_factory=lambda: [0.0, 0.0])
    steps: int = 0
    dwell: int = 0

    def step(self, action: Pair, eps: Pair) -> tuple[list[float], float, bool, bool]:
        """Return observed state, reward, success and truncation after a step."""
        motor, before = self.config.motor, [float(round(x)) for x in self.position]
        command = [u * motor.max_speed_px_s for u in action]
        size = math.hypot(*command)
        share = 1.0 - math.exp(-1.0 / 60.0 / motor.time_constant_s)
        for a in (0, 1):
            executed = command[a] + motor.noise * size * eps[a]
            self.velocity[a] += share * (executed - self.velocity[a])
        walls = self.obstacles + outside_of(self.config)
        self.position, blocked = moved(self.position, [v / 60.0 for v in self.velocity], walls)
        self.velocity = [0.0 if blocked[a] else self.velocity[a] for a in (0, 1)]
        pixels = [float(round(x)) for x in self.position]
        observed = [60.0 * (pixels[a] - before[a]) for a in (0, 1)]
        inside = math.dist(pixels, self.goal) <= self.width / 2.0
        rests = inside and math.hypot(*observed) < self.config.slow_px_s
        self.dwell = self.dwell + 1 if rests else 0
        self.steps += 1
        success = self.dwell == self.config.dwell_steps
        truncated = self.steps == self.config.max_steps and not success
        return [*pixels, *observed], float(rests), success, truncated
