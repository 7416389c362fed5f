"""Collected episodes against plain loops: no row crosses an episode, stored actions are the observed steps."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.trainables.critic.agent.tiny import TINY
from trainables.critic.actor import median_action
from trainables.critic.agent.batches import sample
from trainables.critic.agent.collect import Round, collect, deterministic, exploring, rows_of, seen_from
from trainables.critic.agent.policy import actor_of, scale_of
from trainables.critic.buffer import filled
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.controller import proportional
from trainables.critic.environment.reaching import Observation
from trainables.data.config import RATE_HZ

CONFIG = ReachingConfig(max_steps=60)
CPU = torch.device("cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def steered(state: Tensor, goal: Tensor) -> Tensor:
    """Return the actions of a controller, whose episodes are short."""
    return proportional(Observation(state, goal, torch.zeros(len(goal))), CONFIG.motor)


@pytest.fixture(scope="module")
def made() -> Round:
    return collect(steered, CONFIG, 16, seeded(), "start")


def test_the_rows_are_those_of_a_plain_loop_over_copies_and_steps() -> None:
    random = seeded(1)
    before, after = (torch.randn(3, 5, 4, generator=random) for _ in range(2))
    ends = torch.rand(3, 5, generator=random) < 0.3
    states, actions, lengths = [], [], []
    for copy in range(3):
        rows = 0
        for step in range(5):
            states.append(before[copy, step])
            actions.append(after[copy, step, :2] - before[copy, step, :2])
            rows += 1
            if ends[copy, step] or step == 4:
                states.append(after[copy, step])
                actions.append(torch.zeros(2))
                lengths.append(rows + 1)
                rows = 0
    found = rows_of(before, after, ends)
    assert torch.equal(found.state, torch.stack(states))
    assert torch.equal(found.action, torch.stack(actions))
    assert found.length.tolist() == lengths
    assert bool(ends.any())


def test_an_episode_begins_at_its_origin_and_each_step_leads_to_the_next_state(made: Round) -> None:
    state, action, length = made.episodes.checked()
    assert made.reached > 0
    assert len(length) > 16  # some copies made several
    at = 0
    for rows in length.tolist():
        own, steps = state[at : at + rows], action[at : at + rows]
        assert own[0].tolist() == [0.0, 0.0, 0.0, 0.0]
        for row in range(rows - 1):
            assert torch.equal(own[row, :2] + steps[row], own[row + 1, :2])
            assert torch.equal(steps[row] * RATE_HZ, own[row + 1, 2:])
        assert steps[-1].tolist() == [0.0, 0.0]
        at += rows


def test_on_the_screen_positions_are_those_of_the_screen() -> None:
    state = collect(steered, CONFIG, 8, seeded(), "screen").episodes.state
    assert bool((state[:, :2] >= 0).all())
    assert float(state[:, 0].max()) > 900.0


def test_seen_from_an_origin_the_way_to_the_goal_is_the_same() -> None:
    origin, state, goal = torch.randn(5, 2), torch.randn(5, 4), torch.randn(5, 2)
    seen, towards = seen_from(origin, state, goal)
    torch.testing.assert_close(towards - seen[:, :2], goal - state[:, :2])
    assert torch.equal(seen[:, 2:], state[:, 2:])


def test_relabelled_goals_and_ends_lie_later_in_the_same_episode(made: Round) -> None:
    buffer = filled(made.episodes)
    last = made.episodes.length.cumsum(0) - 1
    batch = sample(buffer, 16, 0.9, 0.0, seeded(2), CPU)
    drawn = buffer.sample(16, 0.9, seeded(2))
    for row in range(16):
        place, end = int(drawn.row[row]), int(last[last >= drawn.row[row]][0])
        later = [buffer.state[other, :2].tolist() for other in range(place + 1, end + 1)]
        assert batch.goal[row].tolist() in later
        assert batch.wanted[row].tolist() == batch.goal[row].tolist()
        assert batch.end[row].tolist() == later[-1]
        assert batch.after[row].tolist() == buffer.state[place + 1].tolist()
        assert torch.equal(batch.state[row, :2] + batch.action[row], batch.after[row, :2])


def test_of_other_goals_each_is_that_of_the_row_before(made: Round) -> None:
    batch = sample(filled(made.episodes), 16, 0.9, 1.0, seeded(2), CPU)
    assert [batch.wanted[row].tolist() for row in range(16)] == [batch.goal[row - 1].tolist() for row in range(16)]


def test_a_share_of_the_copies_acts_without_noise() -> None:
    actor = actor_of(TINY.model, scale_of(TINY.environment, "start"))
    state, goal = torch.randn(8, 4) * 100.0, torch.randn(8, 2) * 100.0
    quiet = deterministic(actor)(state, goal)
    assert torch.equal(quiet, median_action(actor(state, goal)).detach())
    found = exploring(actor, seeded(), 0.5)(state, goal)
    assert torch.equal(found[:4], quiet[:4])
    assert not (found[4:] == quiet[4:]).any()


def test_the_same_seed_makes_the_same_episodes() -> None:
    actor = actor_of(TINY.model, scale_of(TINY.environment, "start"))
    config = replace(CONFIG, max_steps=6)
    found = [collect(exploring(actor, seeded(3)), config, 4, seeded(seed), "start").episodes for seed in (0, 0, 1)]
    assert torch.equal(found[0].state, found[1].state)
    assert not torch.equal(found[0].state, found[2].state)
