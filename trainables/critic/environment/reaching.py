"""Vectorised reaching: N copies of a screen with a pointer and a target, all state in tensors, one step for all.

The true position and velocity are real numbers; observed are whole pixels at 60 Hz and the velocity between them, as in
recordings. The goal is never part of the state. A step is a success if, after it, the pointer has been inside of the
target and slow for `dwell_steps` steps in a row. Reward and success are of the observed state AFTER the step:

    reward = 1 if |position - goal| <= width / 2 and |velocity| < slow, else 0

An episode ends with a success (terminated) or after `max_steps` steps (truncated, unless the last one is a success).
Copies whose episode ended start the next one within the same step (`AutoresetMode.SAME_STEP` of Gymnasium): the
observation is the first one of the new episode, `final_state` is the state that the step led to, and `episode` the
episode of the step. A transition (state before, final_state, episode) therefore never crosses episodes.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.core.threads import threads
from trainables.critic.environment.collision import Moved, keep_on_screen, slide
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.layouts import borders, rectangles
from trainables.critic.environment.motor import DT_S, next_velocity
from trainables.critic.environment.tasks import Tasks, TaskSource, allowed, last_pixel
from trainables.data.config import RATE_HZ


class Observation(NamedTuple):
    """What an agent sees.

    Attributes:
        state: Whole-pixel position and the velocity since the last one: x, y in px, v_x, v_y in px/s.
        goal: Centre of the target in px.
        width: Diameter of the target in px.
    """

    state: Float[Tensor, "N 4"]
    goal: Float[Tensor, "N 2"]
    width: Float[Tensor, "N"]


class Step(NamedTuple):
    """Result of a step of all copies.

    Attributes:
        observation: Where the next action is taken: in a new episode where one ended.
        final_state: The state after the step, in the episode of the step.
        episode: Id of that episode: the number of the copy plus N times that of its episodes before.
    """

    observation: Observation
    reward: Float[Tensor, "N"]
    terminated: Bool[Tensor, "N"]
    truncated: Bool[Tensor, "N"]
    final_state: Float[Tensor, "N 4"]
    episode: Int[Tensor, "N"]


def at_rest_in_target(
    state: Float[Tensor, "N 4"], goal: Float[Tensor, "N 2"], width: Float[Tensor, "N"], slow_px_s: float
) -> Bool[Tensor, "N"]:
    """Return which observed states are inside of the target, its edge included, and slower than `slow_px_s`."""
    near = _squared_length(state[:, :2] - goal) * 4.0 <= width.square()
    return near & (_squared_length(state[:, 2:]) < slow_px_s**2)


class Reaching:
    """N copies of the reaching environment on the device of the generator.

    Attributes:
        position: True position in px.
        velocity: True velocity in px/s.
        observation: What the agent sees now.
        episode: Ids of the running episodes.
    """

    def __init__(self, config: ReachingConfig, copies: int, random: torch.Generator) -> None:
        require(copies >= 1, "`copies >= 1`", f"copies={copies}")
        self.config, self.copies, self._random = config, copies, random
        device = random.device
        self._obstacles = rectangles(config.layout, config.width_px, config.height_px).to(device)
        self._walls = torch.cat([self._obstacles, borders(config.width_px, config.height_px).to(device)])
        self._last = last_pixel(config).to(device)
        self._source = TaskSource(config, self._obstacles, random)
        self.reset()

    def reset(self, tasks: Tasks | None = None) -> Observation:
        """Start all copies anew, with given tasks or drawn ones.

        Raises:
            ConfigError: a given task has no place on the screen.
        """
        start, goal, width = self._source.next(self.copies) if tasks is None else self._checked(tasks)
        self.position, self.velocity = start.clone(), torch.zeros_like(start)
        self.episode = torch.arange(self.copies, device=start.device)
        self._steps, self._dwell = torch.zeros_like(self.episode), torch.zeros_like(self.episode)
        self.observation = Observation(_state(start.round(), torch.zeros_like(start)), goal.clone(), width.clone())
        return self.observation

    def step(self, action: Float[Tensor, "N 2"]) -> Step:
        """Move all copies by one step of 1/60 s.

        Raises:
            ConfigError: an action outside of [-1, 1], NaN included.
        """
        self._check(action)
        eps = torch.randn(self.copies, 2, generator=self._random, device=self._random.device)
        _, goal, width = self.observation
        with threads(1):  # an operation takes some 10 us, less than it waits for a second thread on a busy machine
            state = self._observed(self.advance(action, eps))
            rests = at_rest_in_target(state, goal, width, self.config.slow_px_s)
        self._dwell.add_(1).masked_fill_(~rests, 0)
        self._steps.add_(1)
        terminated = self._dwell >= self.config.dwell_steps
        truncated = (self._steps >= self.config.max_steps) & ~terminated
        result = Step(Observation(state, goal, width), rests.float(), terminated, truncated, state, self.episode)
        [ended] = (terminated | truncated).nonzero(as_tuple=True)
        self.observation = self._started(ended, result.observation) if len(ended) else result.observation
        return result._replace(observation=self.observation)

    def advance(self, action: Float[Tensor, "N 2"], eps: Float[Tensor, "N 2"]) -> Moved:
        """Move the pointers with given noise, and return where they end and what was in their way."""
        velocity = next_velocity(self.velocity, action, eps, self.config.motor)
        step = velocity * DT_S
        free = len(self._obstacles) == 0
        moved = keep_on_screen(self.position, step, self._last) if free else slide(self.position, step, self._walls)
        self.position, self.velocity = moved.position, velocity.masked_fill_(moved.blocked, 0.0)
        return moved

    def _observed(self, moved: Moved) -> Float[Tensor, "N 4"]:
        pixels = moved.position.round()
        return _state(pixels, (pixels - self.observation.state[:, :2]) * RATE_HZ)

    def _started(self, ended: Int[Tensor, "M"], before: Observation) -> Observation:
        """Start the next episode of the copies that ended; what was returned before is left as it is."""
        start, goal, width = self._source.next(len(ended))
        zero = torch.zeros_like(start)
        self.position.index_copy_(0, ended, start)
        self.velocity.index_copy_(0, ended, zero)
        self._steps.index_fill_(0, ended, 0)
        self._dwell.index_fill_(0, ended, 0)
        self.episode = self.episode.index_add(0, ended, torch.full_like(ended, self.copies))
        return Observation(
            before.state.index_copy(0, ended, _state(start.round(), zero)),
            before.goal.index_copy(0, ended, goal),
            before.width.index_copy(0, ended, width),
        )

    def _check(self, action: Tensor) -> None:
        shape = tuple(action.shape)
        require(shape == (self.copies, 2), f"actions of shape ({self.copies}, 2)", f"shape {shape}")
        largest = float(action.abs().max())  # NaN if one is
        if not largest <= 1.0:
            row = int((~(action.abs() <= 1.0)).any(dim=1).nonzero()[0])
            got = f"{action[row].tolist()} of copy {row}"
            require(False, "actions in [-1, 1]", got, "clip them or look for NaN in the actor")

    def _checked(self, tasks: Tasks) -> Tasks:
        given = Tasks(*(part.to(self._last) for part in tasks))
        require(len(given.width) == self.copies, f"{self.copies} tasks", f"{len(given.width)}", "one for each copy")
        wrong = (~allowed(given, self.config, self._obstacles)).nonzero()
        if len(wrong):
            row = int(wrong[0])
            start, goal, width = (part[row].tolist() for part in given)
            require(
                False,
                "a free start, and a target of a width over 0 that lies on the screen, outside of obstacles and of the "
                "start",
                f"start={start}, goal={goal}, width={width:g} on {self.config.width_px} x {self.config.height_px} px, "
                f"layout={self.config.layout}",
                f"move that of copy {row}",
            )
        return given


def _squared_length(vector: Float[Tensor, "N 2"]) -> Float[Tensor, "N"]:
    """Return x^2 + y^2: on CPUs a sum over a dimension of two takes several times as long."""
    x, y = vector.unbind(dim=1)
    return torch.addcmul(x * x, y, y)


def _state(pixels: Float[Tensor, "N 2"], velocity: Float[Tensor, "N 2"]) -> Float[Tensor, "N 4"]:
    return torch.cat([pixels, velocity], dim=1)
