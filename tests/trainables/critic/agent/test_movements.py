"""Movements of an agent: from the start to inside of the target, under the conditions of recorded movements."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.trainables.critic.agent.tiny import TINY
from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.critic.agent.api import Agent
from trainables.critic.agent.movements import AgentMovements, agent_movements, has_place, movements_of, tasks_like
from trainables.critic.agent.policy import actor_of, scale_of
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.controller import proportional
from trainables.critic.environment.reaching import Observation
from trainables.data.canonical import Canonical

CONFIG = ReachingConfig()
KNOWN = float("nan"), 30.0, 60.0  # target widths


def conditions(distance_px: list[float], angle: list[float], width_px: list[float]) -> Canonical:
    """Return straight movements of two steps."""
    n = len(distance_px)
    deltas, mask = torch.tensor([[[0.5, 0.0], [0.5, 0.0]]] * n).double(), torch.ones(n, 2, dtype=torch.bool)
    angles, distances, widths = (torch.tensor(values).double() for values in (angle, distance_px, width_px))
    names, duration = tuple(f"user {row % 2}" for row in range(n)), torch.full_like(angles, 2 / 60)
    return Canonical(deltas, mask, angles, distances, duration, names, widths, ("mouse",) * n)


@pytest.fixture(scope="module")
def like() -> Canonical:
    n = 24
    distance = [12.0 + 35.0 * row for row in range(n)]
    known = [KNOWN[row % 3] if row > 2 else KNOWN[0] for row in range(n)]
    return conditions(distance, [0.13 * row for row in range(n)], known)


def steered(state: Tensor, goal: Tensor) -> Tensor:
    return proportional(Observation(state, goal, torch.zeros(len(goal))), CONFIG.motor)


def still(state: Tensor, goal: Tensor) -> Tensor:
    return torch.zeros_like(goal)


def made(like: Canonical, seed: int = 5, coordinates: str = "start") -> AgentMovements:
    return movements_of(steered, CONFIG, coordinates, like, generator(seed, "of a test"))


def test_each_movement_ends_inside_of_the_target_at_the_recorded_displacement(like: Canonical) -> None:
    movements, reached = made(like)
    assert bool(reached.all())
    for row in range(len(like)):
        length, width = int(movements.length[row]), float(movements.target_width_px[row])
        steps = movements.steps_px[row]
        assert torch.equal(steps, steps.round())
        assert not steps[length:].any()
        distance, angle = float(like.distance_px[row]), like.angle[row]
        end = torch.stack([angle.cos(), angle.sin()]) * distance
        assert float((steps.sum(dim=0) - end.round()).norm()) <= width / 2 + 1e-4
        assert bool((steps[length - CONFIG.dwell_steps : length].norm(dim=1) < CONFIG.slow_px_s / 60).all())


def test_a_width_that_is_not_known_is_the_narrowest_and_no_wider_than_the_way_is_long(like: Canonical) -> None:
    width = made(like).movements.target_width_px
    assert width[0] == 12.0
    assert width[1] == CONFIG.target_width_px[0]
    known = ~like.target_width_px.isnan()
    assert torch.equal(width[known], like.target_width_px[known])


def test_groups_and_sources_are_those_of_the_recorded_movements(like: Canonical) -> None:
    movements, _ = made(like)
    assert (movements.group, movements.source) == (like.group, like.source)


def test_starts_and_targets_lie_on_the_screen_in_whole_pixels(like: Canonical) -> None:
    start, goal, width = tasks_like(like, CONFIG, generator(0, "of a test"))
    last = torch.tensor([1919.0, 1079.0])
    assert bool(((start >= 0) & (start <= last)).all())
    assert bool(((goal >= width[:, None] / 2) & (goal <= last - width[:, None] / 2)).all())
    assert torch.equal(start, start.round())
    assert len(start.unique(dim=0)) == len(start)


def test_the_seed_determines_the_movements_and_coordinates_do_not(like: Canonical) -> None:
    one = made(like).movements.steps_px
    assert torch.equal(made(like).movements.steps_px, one)
    assert torch.equal(made(like, coordinates="screen").movements.steps_px, one)
    other = made(like, seed=6).movements.steps_px
    assert other.shape != one.shape or not torch.equal(other, one)


def test_who_stays_has_reached_nothing_after_all_steps(like: Canonical) -> None:
    movements, reached = movements_of(still, CONFIG, "start", like, generator(0, "of a test"))
    assert not bool(reached.any())
    assert movements.length.tolist() == [CONFIG.max_steps] * len(like)
    assert not movements.steps_px.any()


def test_an_agent_acts_without_exploration_in_its_own_environment(like: Canonical) -> None:
    actor = actor_of(TINY.model, scale_of(TINY.environment, TINY.coordinates)).eval()
    agent = Agent(actor, TINY)
    found, again = agent_movements(agent, like, 3), agent_movements(agent, like, 3)
    assert torch.equal(found.movements.steps_px, again.movements.steps_px)
    assert int(found.movements.length.max()) <= TINY.environment.max_steps


def test_ways_that_leave_the_screen_and_targets_that_hold_the_start_have_no_place() -> None:
    up = torch.pi / 2
    like = conditions([1000.0, 1075.0, 1075.0, 20.0], [up, up, 0.0, 0.0], [20.0, 20.0, 20.0, 40.0])
    assert has_place(like, CONFIG).tolist() == [True, False, True, False]
    message = (
        r"^expected movements whose start and target have room, .* on 1920 x 1080 px, but got 2 without, .* 1075 px;"
    )
    with pytest.raises(ConfigError, match=message):
        made(like)


def test_a_layout_with_obstacles_is_refused(like: Canonical) -> None:
    config = replace(CONFIG, layout="u_maze")
    with pytest.raises(ConfigError, match=r"^expected an agent of `environment.layout=free`, but got layout=u_maze;"):
        movements_of(still, config, "screen", like, generator(0, "of a test"))
