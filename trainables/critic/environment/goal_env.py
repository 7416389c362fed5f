"""The Gymnasium interface: one copy of the reaching environment with goal-conditioned observations.

`gymnasium.make(REACHING)` makes it, with fields of `ReachingConfig` as keywords: `gymnasium.make(REACHING,
layout="u_maze")`; importing registers nothing. Observations are dictionaries as Gymnasium-Robotics defines them:
`observation` (position and velocity), `achieved_goal` (position), `desired_goal` (centre of the target). The width of
the target and the speed, on which the reward depends too, are in `info`, so that rewards for other goals can be
computed from a stored step.
"""

from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from trainables.core.config import build, require, require_member
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.drawing import draw_screen
from trainables.critic.environment.layouts import rectangles
from trainables.critic.environment.reaching import Reaching, at_rest_in_target
from trainables.critic.environment.tasks import Tasks
from trainables.data.config import RATE_HZ

FloatArray = NDArray[np.float32]
GoalObservation = dict[str, FloatArray]
TASK_KEYS, SHAPES = ("start", "goal", "width_px"), ((2,), (2,), ())
REACHING = EnvSpec(id="Reaching-v0", entry_point="trainables.critic.environment.goal_env:ReachingGoalEnv")
RGB_ARRAY = "rgb_array"
METADATA: dict[str, Any] = {"render_modes": [RGB_ARRAY], "render_fps": int(RATE_HZ)}


class ReachingGoalEnv(gymnasium.Env[GoalObservation, FloatArray]):
    """One pointer, one target; an episode that ended waits for `reset`."""

    metadata = METADATA

    def __init__(self, render_mode: str | None = None, **settings: Any) -> None:
        if render_mode is not None:
            require_member("render_mode", render_mode, (RGB_ARRAY,))
        self.render_mode, self.config = render_mode, build(ReachingConfig, settings)
        last = np.array([self.config.width_px - 1, self.config.height_px - 1], dtype=np.float32)
        fastest = np.float32(RATE_HZ) * last  # from one edge to the other in a step
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)
        position = Box(np.zeros_like(last), last, dtype=np.float32)
        state = Box(np.concatenate([0.0 * last, -fastest]), np.concatenate([last, fastest]), dtype=np.float32)
        self.observation_space = Dict({"observation": state, "achieved_goal": position, "desired_goal": position})  # type: ignore[assignment]
        self._random = torch.Generator()
        self._reaching: Reaching | None = None
        self._running = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[GoalObservation, dict[str, Any]]:
        """Start an episode: with a drawn task, or that of `options` with the keys start, goal and width_px.

        Raises:
            ConfigError: an unknown option or one of another type, or a task without a place on the screen.
        """
        super().reset(seed=seed)
        if seed is not None or self._reaching is None:
            self._random.manual_seed(int(self.np_random.integers(2**63)))
            self._reaching = Reaching(self.config, 1, self._random)
        self._reaching.reset(_task(options) if options else None)
        self._state, self._goal, self._width = (part[0].clone() for part in self._reaching.observation)
        self._steps, self._running = 0, True
        return self._observation(), self._info(success=False)

    def step(self, action: FloatArray) -> tuple[GoalObservation, SupportsFloat, bool, bool, dict[str, Any]]:
        """Move by one step of 1/60 s.

        Raises:
            ConfigError: an action outside of [-1, 1], NaN included.
            ResetNeeded: before the first `reset`, or after the end of the episode.
        """
        if self._reaching is None or not self._running:
            raise gymnasium.error.ResetNeeded("expected a running episode, but got none; call reset() first")
        step = self._reaching.step(torch.as_tensor(np.asarray(action, dtype=np.float32))[None])
        self._state, self._steps = step.final_state[0].clone(), self._steps + 1
        success, truncated = bool(step.terminated), bool(step.truncated)
        self._running = not (success or truncated)
        return self._observation(), float(step.reward), success, truncated, self._info(success)

    def compute_reward(
        self, achieved_goal: FloatArray, desired_goal: FloatArray, info: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    ) -> Any:
        """Return the reward of a step, or of several with one `info` each, for any goals."""
        infos = [info] if isinstance(info, Mapping) else list(info)
        achieved, desired = (torch.as_tensor(goals).reshape(-1, 2) for goals in (achieved_goal, desired_goal))
        velocity = torch.tensor([[each["speed_px_s"], 0.0] for each in infos])
        width = torch.tensor([each["width_px"] for each in infos])
        rests = at_rest_in_target(torch.cat([achieved, velocity], dim=1), desired, width, self.config.slow_px_s)
        return float(rests) if isinstance(info, Mapping) else rests.float().numpy()

    def compute_terminated(self, achieved_goal: FloatArray, desired_goal: FloatArray, info: Mapping[str, Any]) -> bool:
        """Return whether the step was a success for the goal of its episode; for another one it takes all its steps."""
        return bool(info["is_success"])

    def compute_truncated(self, achieved_goal: FloatArray, desired_goal: FloatArray, info: Mapping[str, Any]) -> bool:
        """Return whether the step was the last one of an episode without success."""
        return bool(info["steps"] >= self.config.max_steps and not info["is_success"])

    def render(self) -> Any:
        """Return the screen as an array of colours if `render_mode` is rgb_array."""
        if self.render_mode is None:
            return None
        size = self.config.width_px, self.config.height_px
        obstacles = rectangles(self.config.layout, *size).numpy()
        return draw_screen(size, obstacles, self._goal.numpy(), float(self._width), self._state[:2].numpy())

    def _observation(self) -> GoalObservation:
        state = self._state.numpy()
        return {
            "observation": state.copy(),
            "achieved_goal": state[:2].copy(),
            "desired_goal": self._goal.numpy().copy(),
        }

    def _info(self, success: bool) -> dict[str, Any]:
        speed = float(torch.linalg.vector_norm(self._state[2:]))
        return {"width_px": float(self._width), "speed_px_s": speed, "steps": self._steps, "is_success": success}


def _task(options: Mapping[str, Any]) -> Tasks:
    given, known = ", ".join(sorted(options)), ", ".join(TASK_KEYS)
    require(set(options) == set(TASK_KEYS), f"the options {known}", given, "give all three or none")
    start, goal, width = (_numbers(key, options[key], shape) for key, shape in zip(TASK_KEYS, SHAPES, strict=True))
    return Tasks(start, goal, width)


def _numbers(key: str, value: Any, shape: tuple[int, ...]) -> torch.Tensor:
    """Return an option as a batch of one."""
    try:
        numbers = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        numbers = np.empty(0, dtype=np.float32)
    law = f"the option {key} to be {'two numbers' if shape else 'a number'} in px"
    require(numbers.shape == shape, law, repr(value))
    return torch.from_numpy(numbers)[None]
