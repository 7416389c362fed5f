"""Goal consistency: summaries against plain loops, the mask, decoys, chunks, and the direction of the columns."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.trainables.critic.tiny import TINY
from trainables.core.seeding import generator
from trainables.critic import consistency as module
from trainables.critic.api import Critic
from trainables.critic.buffer import filled
from trainables.critic.config import CriticModelConfig
from trainables.critic.consistency import COLUMNS, TURNS_DEG, consistency, decoys, summaries, values
from trainables.critic.episodes import episodes_of_split
from trainables.critic.networks import CriticNetwork, Scale
from trainables.critic.similarity import SIMILARITIES
from trainables.critic.state import initial_state
from trainables.critic.train import averaged, optimise, scale_of
from trainables.data.canonical import Canonical, Movements, encode
from trainables.data.config import RATE_HZ, CanonicalConfig, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.training.worker import ALONE

SCALE = Scale(torch.zeros(4), torch.full((4,), 300.0), torch.zeros(2), torch.full((2,), 10.0))
FORM = CanonicalConfig()
MEAN, MINIMUM, SLOPE, MARGIN, FIRST = range(len(COLUMNS))


def critic_of(similarity: str = "l2", velocity: bool = False) -> Critic:
    torch.manual_seed(0)
    network = CriticNetwork(replace(TINY.model, similarity=similarity), SCALE, goal_velocity=velocity).eval()
    return Critic(network, similarity, velocity, 0.5, FORM)


def users(count: int) -> Canonical:
    return load_splits(DataConfig())["validation"].take(torch.arange(count))


class Ideal(CriticNetwork):
    """f is minus the distance between the goal and where the pointer is after the step."""

    def embed(self, state: Tensor, action: Tensor) -> Tensor:
        return state[:, :2] + action

    def embed_goal(self, goal: Tensor) -> Tensor:
        return goal


def ideal() -> Critic:
    return Critic(Ideal(CriticModelConfig(depth=4, width=4), SCALE, goal_velocity=False), "l2", False, 1.0, FORM)


def movements(*paths: list[tuple[float, float]]) -> Canonical:
    """Encode movements of steps in px."""
    steps = torch.zeros(len(paths), max(map(len, paths)), 2, dtype=torch.float64)
    for row, path in enumerate(paths):
        steps[row, : len(path)] = torch.tensor(path, dtype=torch.float64)
    length = torch.tensor([len(path) for path in paths])
    return encode(Movements(steps, length, ("someone",) * len(paths)), FORM)


STRAIGHT = [(10.0, 0.0)] * 30
AWAY = [(-10.0, 0.0)] * 10 + [(20.0, 0.0)] * 20
"""From the start to the same end in the same time."""


def slope_of(own: list[float]) -> float:
    times = [i / RATE_HZ for i in range(len(own))]
    middle, level = sum(times) / len(times), sum(own) / len(own)
    spread = sum((t - middle) ** 2 for t in times)
    return sum((t - middle) * (c - level) for t, c in zip(times, own, strict=True)) / spread if spread else 0.0


# summaries


def test_summaries_are_those_of_a_loop_over_steps_and_goals() -> None:
    random = torch.Generator().manual_seed(0)
    f = torch.randint(-3, 4, (6, 9, 4), generator=random).double()  # few values, so that goals share the largest
    steps = [1, 2, 9, 5, 3, 9]
    mask = torch.arange(9) < torch.tensor(steps)[:, None]
    found = summaries(f, mask)
    for row, count in enumerate(steps):
        own = [float(f[row, i, 0]) for i in range(count)]
        margins, first = [], []
        for i in range(count):
            goals = [float(value) for value in f[row, i]]
            margins += [own[i] - decoy for decoy in goals[1:]]
            first.append(1 / goals.count(max(goals)) if own[i] == max(goals) else 0.0)
        expected = [sum(own) / count, min(own), slope_of(own), sum(margins) / len(margins), sum(first) / count]
        assert found[row].tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("below", [0.0, 1e9, math.nan, math.inf, -math.inf])
def test_nothing_under_the_mask_matters_and_more_padding_changes_nothing(below: float) -> None:
    f = torch.randn(5, 8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mask = torch.arange(8) < torch.tensor([8, 1, 4, 7, 2])[:, None]
    expected = summaries(f, mask)
    assert torch.equal(summaries(f.masked_fill(~mask[..., None], below), mask), expected)
    longer = torch.cat([f, torch.full((5, 6, 3), below, dtype=torch.float64)], dim=1)
    found = summaries(longer, torch.cat([mask, torch.zeros(5, 6, dtype=torch.bool)], dim=1))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_critic_that_tells_nothing_has_the_share_of_chance() -> None:
    found = summaries(torch.full((1, 5, 8), -2.0), torch.ones(1, 5, dtype=torch.bool))
    assert found[0].tolist() == pytest.approx([-2, -2, 0, 0, 1 / 8], abs=1e-12)


# decoys and values


def test_decoys_are_as_far_away_as_the_end_and_in_whole_pixels() -> None:
    end = torch.tensor([[300.0, 0.0], [-120.0, 77.0], [0.0, 8.0]])
    found = decoys(end)
    for row, (x, y) in enumerate(end.tolist()):
        for k, degrees in enumerate(TURNS_DEG):
            turn = math.radians(degrees)
            expected = (x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn))
            assert found[row, k].tolist() == pytest.approx(expected, abs=0.5001)
            assert found[row, k].tolist() == [round(value) for value in found[row, k].tolist()]
            assert math.dist(found[row, k].tolist(), (x, y)) > 1.5  # what a critic does not count as the same goal


def test_the_velocity_of_a_goal_rotates_with_it() -> None:
    (found,) = decoys(torch.tensor([[300.0, 0.0, 60.0, 0.0]]))
    for decoy, degrees in zip(found, TURNS_DEG, strict=True):
        turn = math.radians(degrees)
        assert decoy[2:].tolist() == pytest.approx([60 * math.cos(turn), 60 * math.sin(turn)], abs=1e-4)


@pytest.mark.parametrize("velocity", [False, True])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_values_are_those_of_each_step_with_each_goal(similarity: str, velocity: bool) -> None:
    critic, some = critic_of(similarity, velocity), users(3)
    f, mask = values(critic, some)
    for row in range(3):
        state, action, length = episodes_of_split(some.take(torch.tensor([row])), FORM)
        end = state[-1:, : 4 if velocity else 2]
        goals = torch.cat([end, decoys(end)[0]])
        assert int(mask[row].sum()) == int(length) - 1
        torch.testing.assert_close(f[row, mask[row]], critic(state[:-1], action[:-1], goals), rtol=1e-3, atol=1e-3)


# movements


@pytest.mark.parametrize("chunk", [1, 7])
def test_chunks_bound_the_rows_of_a_call_and_change_no_column(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    critic, some, calls = critic_of(), users(20), list[int]()
    whole, embed = consistency(critic, some), CriticNetwork.embed

    def counted(network: CriticNetwork, state: Tensor, action: Tensor) -> Tensor:
        calls.append(len(state))
        return embed(network, state, action)

    monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(CriticNetwork, "embed", counted)
    torch.testing.assert_close(consistency(critic, some), whole, rtol=1e-4, atol=1e-4)
    assert max(calls) <= chunk * (FORM.sequence_length + 1)
    assert len(calls) == -(-20 // chunk)


def test_columns_are_the_same_every_time_and_in_any_order() -> None:
    critic, some = critic_of(), users(30)
    torch.rand(5)
    first = consistency(critic, some)
    assert (first.dtype, first.shape) == (torch.float64, (30, len(COLUMNS)))
    assert torch.equal(consistency(critic, some), first)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(consistency(critic, some.take(order)), first[order], rtol=1e-4, atol=1e-4)


def test_a_movement_that_turns_away_from_its_end_is_less_consistent_and_one_on_another_course_is_not() -> None:
    across = [(y, x) for x, y in STRAIGHT]
    straight, away, turned = consistency(ideal(), movements(STRAIGHT, AWAY, across))
    assert straight[MEAN] > away[MEAN] + 50
    assert straight[MINIMUM] > away[MINIMUM]
    assert straight[MARGIN] > away[MARGIN]
    assert straight[FIRST] == 1 > away[FIRST]
    assert float(straight[SLOPE]) == pytest.approx(600, rel=1e-3)  # it nears its end by 10 px in 1/60 s
    torch.testing.assert_close(turned, straight, rtol=1e-5, atol=1e-5)


def test_a_critic_of_users_finds_the_same_and_no_difference_where_there_is_none() -> None:
    """Pairs of movements to the same end, in random directions; of the null pairs both go straight.

    Of 40 null pairs more than 33 on one side has a probability of 1e-5 over fresh seeds.
    """
    data = DataConfig()
    config = replace(TINY, epochs=1, steps_per_epoch=80, batch_size=128, optim=replace(TINY.optim, lr=3e-3))
    buffer = filled(episodes_of_split(load_splits(data)["train"], data.canonical))
    state = initial_state(config, scale_of(buffer), ALONE)
    random = generator(0, "pairs")
    for _ in range(config.steps_per_epoch):
        optimise(state, config, buffer.sample(config.batch_size, config.gamma, random))
    critic, turns = averaged(state, config), 2 * math.pi * torch.rand(3, 40, generator=random)
    straight, away, null = (
        consistency(critic, movements(*(rotated(path, float(turn)) for turn in own)))[:, MEAN]
        for path, own in ((STRAIGHT, turns[0]), (AWAY, turns[0]), (STRAIGHT, turns[1]))
    )
    assert int((straight > away).sum()) == 40
    assert 7 <= int((straight > null).sum()) <= 33


def rotated(path: list[tuple[float, float]], turn: float) -> list[tuple[float, float]]:
    """Turn a path on the screen, its positions in whole pixels."""
    at, points = complex(0), [complex(0)]
    for x, y in path:
        at += complex(x, y) * complex(math.cos(turn), math.sin(turn))
        points.append(complex(round(at.real), round(at.imag)))
    return [((b - a).real, (b - a).imag) for a, b in itertools.pairwise(points)]
