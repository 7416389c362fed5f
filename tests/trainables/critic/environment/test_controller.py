"""The scripted controller: success is reachable, its speed is a bell, and a detour is more than it can do."""

from itertools import pairwise

import pytest
import torch

from trainables.critic.environment.config import MotorConfig, ReachingConfig
from trainables.critic.environment.controller import bell_shaped, proportional
from trainables.critic.environment.reaching import Reaching
from trainables.critic.environment.tasks import Tasks

COPIES = 1000
CONTROLLERS = {"bell_shaped": bell_shaped, "proportional": proportional}


def successes(config: ReachingConfig, controller: str) -> float:
    """Return the share of first episodes that end by success."""
    environment = Reaching(config, COPIES, torch.Generator().manual_seed(0))
    reached = torch.zeros(COPIES, dtype=torch.bool)
    for _ in range(config.max_steps):
        step = environment.step(CONTROLLERS[controller](environment.observation, config.motor))
        reached |= step.terminated & (step.episode < COPIES)
    return float(reached.float().mean())


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_the_target_is_reached_in_free_space(controller: str) -> None:
    """More than 95 %: with a true share of 98 % the chance of a false alarm is below 1e-8; measured: all."""
    assert successes(ReachingConfig(), controller) > 0.95


def test_the_maze_with_detours_is_not_solved_by_moving_straight() -> None:
    assert successes(ReachingConfig(layout="u_maze", detour=True), "bell_shaped") < 0.6


def test_the_speed_rises_and_falls_once_and_never_more_than_the_limit_above_the_last() -> None:
    motor = MotorConfig(noise=0.0)
    environment = Reaching(ReachingConfig(motor=motor), 1, torch.Generator())
    environment.reset(Tasks(torch.tensor([[300.0, 300.0]]), torch.tensor([[1000.0, 600.0]]), torch.tensor([40.0])))
    speeds = [0.0]
    while environment.episode == 0:
        environment.step(bell_shaped(environment.observation, motor))
        speeds.append(float(environment.velocity.norm()))
    speeds = speeds[:-1]  # of the next episode
    peak = speeds.index(max(speeds))
    assert 3 <= peak <= len(speeds) // 2
    assert all(a < b for a, b in pairwise(speeds[: peak + 1]))
    assert all(a > b for a, b in pairwise(speeds[peak:]))
    straight = proportional(environment.observation, motor), bell_shaped(environment.observation, motor)
    assert straight[0].norm() > straight[1].norm()  # at the start of an episode
