"""Laws of the motor: an exponential approach to the command, noise in proportion to it, actions of steps."""

import math

import pytest
import torch

from trainables.critic.environment.config import MotorConfig, ReachingConfig
from trainables.critic.environment.motor import DT_S, action_of, expected_step, next_velocity, response
from trainables.critic.environment.reaching import Reaching
from trainables.critic.environment.tasks import Tasks

MOTOR = MotorConfig()
COPIES = 4000
WIDE = 4.5 / math.sqrt(2 * 2 * COPIES)  # 4.5 standard errors of a standard deviation of 2 x COPIES numbers: 7e-6


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def deviation(size: float, noise: float) -> float:
    """Return the standard deviation of the velocity after one step from rest, around its mean by definition."""
    config = ReachingConfig(motor=MotorConfig(noise=noise))
    centre = torch.tensor([[900.0, 500.0]]).expand(COPIES, -1)
    environment = Reaching(config, COPIES, seeded(int(100 * size)))
    environment.reset(Tasks(centre, centre + 200.0, torch.full((COPIES,), 50.0)))
    action = torch.tensor([[0.6, -0.8]]).expand(COPIES, -1) * size
    environment.step(action)
    mean = response(config.motor) * config.motor.max_speed_px_s * action
    return float((environment.velocity - mean).square().mean().sqrt())


@pytest.mark.parametrize("size", [0.05, 0.1, 0.2, 0.4, 0.8])
def test_the_noise_is_in_proportion_to_the_command(size: float) -> None:
    """False alarm: 7e-6 each. A noise of half the proportion, or one that is constant, is far outside."""
    expected = response(MOTOR) * MOTOR.noise * MOTOR.max_speed_px_s * size
    assert deviation(size, MOTOR.noise) == pytest.approx(expected, rel=WIDE)
    assert deviation(size, MOTOR.noise / 2.0) != pytest.approx(expected, rel=0.4)


def test_without_coefficient_or_command_there_is_no_noise() -> None:
    assert deviation(0.8, 0.0) < 1e-2  # rounding of velocities of some 2000 px/s in float32
    assert deviation(0.0, MOTOR.noise) == 0.0


def test_the_noise_is_the_same_in_all_directions() -> None:
    """Along and across the command; four standard errors (1 in 16,000)."""
    action = torch.tensor([[0.5, 0.0]]).expand(COPIES, -1)
    velocity = next_velocity(torch.zeros(COPIES, 2), action, torch.randn(COPIES, 2, generator=seeded(1)), MOTOR)
    along, across = velocity.std(dim=0).tolist()
    assert along / across == pytest.approx(1.0, abs=4.0 / math.sqrt(COPIES))


def test_the_velocity_approaches_the_command_with_the_time_constant() -> None:
    """The closed form of a low-pass filter of the first order: v(t) = w (1 - exp(-t / tau))."""
    velocity, action = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[0.3, -0.1]], dtype=torch.float64)
    for step in range(1, 20):
        velocity = next_velocity(velocity, action, torch.zeros_like(action), MOTOR)
        reached = 1.0 - math.exp(-step / 60.0 / MOTOR.time_constant_s)
        torch.testing.assert_close(velocity, reached * MOTOR.max_speed_px_s * action, rtol=1e-12, atol=0.0)


def test_the_action_of_a_step_makes_that_step() -> None:
    velocity, action = torch.randn(2, 50, 2, generator=seeded(2), dtype=torch.float64)
    step = expected_step(1000.0 * velocity, action, MOTOR)
    torch.testing.assert_close(action_of(1000.0 * velocity, step, MOTOR), action, rtol=1e-9, atol=1e-9)


def test_the_expected_step_is_the_step_without_noise() -> None:
    velocity, action = torch.randn(2, 50, 2, generator=seeded(3), dtype=torch.float64)
    made = next_velocity(velocity, action, torch.zeros_like(action), MOTOR) * DT_S
    torch.testing.assert_close(expected_step(velocity, action, MOTOR), made)


def test_the_gradient_of_the_step_reaches_the_action() -> None:
    action = torch.zeros(3, 2, requires_grad=True)
    expected_step(torch.ones(3, 2), action, MOTOR).sum().backward()
    assert action.grad is not None
    torch.testing.assert_close(action.grad, torch.full((3, 2), response(MOTOR) * MOTOR.max_speed_px_s * DT_S))
