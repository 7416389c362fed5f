"""The ring of transitions: every goal is later in its own trajectory, whatever was written over what."""

import math
from collections import Counter
from pathlib import Path

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.critic.buffer import Buffer, Transitions, filled
from trainables.critic.episodes import Episodes, episodes_of_windows
from trainables.critic.goals import negative_mask


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(lengths: list[int], first: int = 0) -> Episodes:
    """Episodes whose positions are (number of the episode, row in it), so that each state names where it is from."""
    state = torch.tensor([[first + e, t, 0, 0] for e, length in enumerate(lengths) for t in range(length)]).float()
    return Episodes(state, state[:, :2] + 0.5, torch.tensor(lengths))


def assert_lawful(drawn: Transitions, lengths: dict[int, int]) -> None:
    """Each goal lies later in the trajectory of its transition, and not behind its end."""
    for state, action, goal, ahead in zip(drawn.state, drawn.action, drawn.goal, drawn.ahead.tolist(), strict=True):
        episode, at = int(state[0]), int(state[1])
        assert torch.equal(action, state[:2] + 0.5)
        assert int(goal[0]) == episode
        assert int(goal[1]) == at + ahead
        assert at < int(goal[1]) < lengths[episode]


# the diagram: trajectories -> buffer -> batch -> comparison of goals


def test_a_batch_holds_a_later_goal_of_each_trajectory_and_negatives_of_others() -> None:
    """T1 ... TN, one buffer, a batch of many of them: g_i is of T_i, and counted negatives are of others."""
    lengths = [1, 2, 3, 9, 30, 5, 1, 12] * 8
    drawn = filled(numbered(lengths)).sample(48, 0.9, seeded())
    assert_lawful(drawn, dict(enumerate(lengths)))
    negatives = negative_mask(drawn.trajectory, drawn.goal, 0.0)
    counted = 0
    for i in range(48):
        for j in range(48):
            if negatives[i, j]:
                counted += 1
                assert int(drawn.goal[j, 0]) != int(drawn.state[i, 0])
            else:
                assert int(drawn.goal[j, 0]) == int(drawn.state[i, 0])
    assert len(set(drawn.trajectory.tolist())) > 20
    assert counted > 48 * 40


def test_transitions_are_uniform_and_goals_geometric() -> None:
    """Of 60,000 draws from 13 transitions each count is within 5 standard deviations (false failure: 1 in 40,000)."""
    lengths, gamma, n = [1, 2, 5, 9], 0.7, 60_000
    buffer, counts = filled(numbered(lengths * 8)), Counter[tuple[int, int, int]]()
    drawn: list[tuple[float, float, int]] = []
    random = seeded(3)
    for _ in range(n // 20):
        batch = buffer.sample(20, gamma, random)
        drawn += zip(batch.state[:, 0].tolist(), batch.state[:, 1].tolist(), batch.ahead.tolist(), strict=True)
    for episode, at, ahead in drawn:
        counts[int(episode) % 4, int(at), int(ahead)] += 1
    valid = sum(length - 1 for length in lengths)
    seen = 0
    for e, length in enumerate(lengths):
        for at in range(length - 1):
            weights = [gamma**k for k in range(1, length - at)]
            for k, weight in enumerate(weights, start=1):
                p = weight / math.fsum(weights) / valid
                seen += counts[e, at, k]
                assert abs(counts[e, at, k] - n * p) < 5 * math.sqrt(n * p * (1 - p))
    assert seen == n


def test_goals_of_a_window_that_crosses_episodes_would_leak_without_its_ends() -> None:
    """The alternative: the same rows as one episode give goals of the next one."""
    rows = numbered([4, 4] * 10)
    window = rows.state.view(10, 8, 4), rows.action.view(10, 8, 2)
    ends = torch.zeros(10, 8, dtype=torch.bool)
    leaky = filled(episodes_of_windows(*window, ends)).sample(10, 1.0, seeded())
    assert bool((leaky.goal[:, 0] != leaky.state[:, 0]).any())
    ends[:, 3] = True
    drawn = filled(episodes_of_windows(*window, ends)).sample(10, 1.0, seeded())
    assert_lawful(drawn, dict.fromkeys(range(20), 4))


# the ring


def test_whole_episodes_are_overwritten_round_and_round() -> None:
    """Against a list of the episodes that a ring of 50 rows still has whole, over 200 random additions."""
    random, buffer = seeded(1), Buffer.in_memory(50)
    lengths: dict[int, int] = {}
    place: dict[int, set[int]] = {}
    row = 0
    for _ in range(200):
        added = torch.randint(1, 18, (int(torch.randint(1, 4, (1,), generator=random)),), generator=random).tolist()
        added = added if sum(added) <= 50 else added[:2]
        buffer.add(numbered(added, first=len(lengths)))
        for length in added:
            taken = {(row + k) % 50 for k in range(length)}
            place = {e: rows for e, rows in place.items() if not rows & taken}
            place[len(lengths)], lengths[len(lengths)] = taken, length
            row = (row + length) % 50
        whole = {e for e in place if lengths[e] > 1}
        found = {int(buffer.trajectory[r]) for r in buffer.found.rows.tolist()}
        assert found == whole
        assert buffer.found.trajectories == len(whole)
        assert len(buffer.found.rows) == sum(lengths[e] - 1 for e in whole)
        if whole:
            assert_lawful(buffer.sample(len(whole), 0.95, random), lengths)


def test_of_more_rows_than_it_holds_the_last_episodes_stay() -> None:
    together, in_turn = Buffer.in_memory(20), Buffer.in_memory(20)
    together.add(numbered([7, 6, 9, 8]))
    for e, length in enumerate([7, 6, 9, 8]):
        in_turn.add(numbered([length], first=e))
    for buffer in (together, in_turn):
        assert sorted({int(buffer.trajectory[row]) for row in buffer.found.rows}) == [2, 3]
        assert_lawful(buffer.sample(2, 1.0, seeded()), {2: 9, 3: 8})


def test_an_episode_that_fills_the_buffer_leaves_no_other() -> None:
    buffer = Buffer.in_memory(6)
    buffer.add(numbered([3, 2]))
    buffer.add(numbered([6], first=2))
    assert {int(e) for e in buffer.trajectory} == {2}
    assert len(buffer.found.rows) == 5


def test_mapped_arrays_are_those_in_memory_and_are_found_again(tmp_path: Path) -> None:
    in_memory = Buffer.in_memory(30)
    for first in (0, 3, 6):
        Buffer.mapped(tmp_path, 30).add(numbered([5, 4, 6], first))
        in_memory.add(numbered([5, 4, 6], first))
    again = Buffer.mapped(tmp_path, 30)
    for name in ("state", "action", "trajectory", "remaining", "counters"):
        assert torch.equal(getattr(again, name), getattr(in_memory, name))
    assert all(map(torch.equal, again.sample(3, 0.9, seeded()), in_memory.sample(3, 0.9, seeded())))


# sampling


def test_the_generator_alone_decides_and_a_velocity_is_part_of_the_goal_where_asked() -> None:
    episodes = numbered([9, 8, 7, 6])
    episodes.state[:, 2:] = torch.randn(30, 2, generator=seeded())
    buffer = filled(episodes)
    one, other = (buffer.sample(4, 0.9, seeded(5), goal_velocity=velocity) for velocity in (False, True))
    assert torch.equal(other.goal[:, :2], one.goal)
    assert torch.equal(other.goal, buffer.state[one.row + one.ahead])
    assert not torch.equal(buffer.sample(4, 0.9, seeded(6)).row, one.row)


# bad input


def test_trajectories_of_one_state_alone_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected a trajectory of two states or more, but got trajectories of one"):
        filled(numbered([1, 1, 1])).sample(1, 0.9, seeded())


def test_a_batch_larger_than_the_trajectories_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^expected `batch_size <= trajectories`, but got batch_size=4, trajectories=3;"
    ):
        filled(numbered([5, 1, 5, 5])).sample(4, 0.9, seeded())


def test_an_episode_longer_than_the_buffer_and_one_that_is_not_finite_are_refused() -> None:
    buffer, broken = Buffer.in_memory(8), numbered([4])
    with pytest.raises(ConfigError, match="expected `rows of an episode <= capacity`, but got 9 rows, 8"):
        buffer.add(numbered([9]))
    broken.action[2, 0] = math.nan
    with pytest.raises(ConfigError, match="expected finite actions"):
        buffer.add(broken)
    assert len(buffer.found.rows) == 0


def test_a_buffer_of_another_capacity_and_a_file_that_is_none_are_refused(tmp_path: Path) -> None:
    Buffer.mapped(tmp_path, 30)
    with pytest.raises(ConfigError, match=r"expected an array \[40, 4\], but got \[30, 4\]"):
        Buffer.mapped(tmp_path, 40)
    (tmp_path / "state.npy").write_text("no array")
    with pytest.raises(ConfigError, match="expected an array of a buffer"):
        Buffer.mapped(tmp_path, 30)
    with pytest.raises(ConfigError, match="`capacity >= 2`"):
        Buffer.in_memory(1)
