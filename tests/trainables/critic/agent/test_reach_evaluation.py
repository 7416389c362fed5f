"""Evaluation in fixed episodes against a plain loop, and its means with and without blocks of tasks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.core.seeding import generator
from trainables.critic.agent.evaluation.metrics import AGENT
from trainables.critic.agent.evaluation.reach_evaluation import BLOCKS, ReachEvaluation, reach
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.controller import proportional
from trainables.critic.environment.reaching import Observation, Reaching
from trainables.training.metric import compute_all
from trainables.training.metric_names import VAL_REACH_FAILURE, VAL_REACH_SECONDS

CONFIG = ReachingConfig(max_steps=30)


def steered(state: Tensor, goal: Tensor) -> Tensor:
    return proportional(Observation(state, goal, torch.zeros(len(goal))), CONFIG.motor)


def still(state: Tensor, goal: Tensor) -> Tensor:
    return torch.zeros_like(goal)


@pytest.fixture(scope="module")
def found() -> ReachEvaluation:
    return reach(steered, CONFIG, 50, 3, "test", "start")


def test_the_results_are_those_of_the_first_episode_of_each_copy(found: ReachEvaluation) -> None:
    environment = Reaching(CONFIG, 50, generator(3, "tasks", "test"))
    goal = environment.observation.goal
    reached, steps, error = [False] * 50, [30] * 50, [0.0] * 50
    for step in range(1, 31):
        result = environment.step(steered(environment.observation.state, environment.observation.goal))
        for copy in range(50):
            if int(result.episode[copy]) == copy:
                error[copy] = float((result.final_state[copy, :2] - goal[copy]).norm())
                if result.terminated[copy]:
                    reached[copy], steps[copy] = True, step
    assert found.reached.tolist() == reached
    assert found.steps.tolist() == steps
    assert found.error_px.tolist() == pytest.approx(error)
    assert 0 < sum(reached) < 50  # 30 steps are too few for some


@pytest.mark.parametrize("coordinates", ["start", "screen"])
def test_positions_from_the_start_or_on_the_screen_are_the_same_episodes(
    coordinates: str, found: ReachEvaluation
) -> None:
    other = reach(steered, CONFIG, 50, 3, "test", coordinates)
    assert torch.equal(other.reached, found.reached)


def test_seed_and_split_determine_the_tasks(found: ReachEvaluation) -> None:
    again = reach(steered, CONFIG, 50, 3, "test", "start")
    assert torch.equal(again.error_px, found.error_px)
    for seed, split in ((4, "test"), (3, "validation")):
        assert not torch.equal(reach(steered, CONFIG, 50, seed, split, "start").error_px, found.error_px)


def test_who_stays_reaches_nothing() -> None:
    metrics = compute_all(AGENT.metrics, reach(still, CONFIG, 20, 0, "test", "start"))
    assert metrics[VAL_REACH_FAILURE] == 1.0
    assert metrics[VAL_REACH_SECONDS] == pytest.approx(30 / 60)


def test_each_metric_is_a_mean_over_the_rows_that_are_given(found: ReachEvaluation) -> None:
    rows = np.array([0, 3, 7])
    seconds = AGENT[VAL_REACH_SECONDS].per_user
    assert seconds is not None
    assert seconds(found)(rows) == pytest.approx(sum(float(found.steps[row]) / 60 for row in rows) / 3)


def test_blocks_of_tasks_are_equal_and_no_more_than_there_are_tasks(found: ReachEvaluation) -> None:
    owners = reach(still, replace(CONFIG, max_steps=6), 64, 0, "test", "start").owners
    assert {owners.count(block) for block in owners} == {2}
    assert len(set(owners)) == BLOCKS
    few = ReachEvaluation(found.reached[:5], found.steps[:5], found.error_px[:5])
    assert len(set(few.owners)) == 5
