"""An agent's run: the seed determines it, interruptions leave no trace, modes have their episodes, training reaches."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.trainables.critic.agent.tiny import TINY
from trainables.core.config import ConfigError, build, plain
from trainables.critic.agent.api import load_agent
from trainables.critic.agent.config import AgentConfig, CollectionConfig
from trainables.critic.agent.cost import measure
from trainables.critic.agent.learners import LEARNERS
from trainables.critic.agent.modes import MODES, environment_steps, rounds_of
from trainables.critic.agent.state import initial_state
from trainables.critic.agent.train import add_episodes, epochs
from trainables.critic.config import CriticModelConfig
from trainables.critic.measured import DIAGNOSTICS
from trainables.data.splits.loading import load_splits
from trainables.eval.plot_style import DPI
from trainables.training import metric_names as names
from trainables.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from trainables.training.trainable import Epoch
from trainables.training.worker import ALONE

CLOCKS = (names.TRAIN_SECONDS, names.VAL_SECONDS)
RECORDED = CollectionConfig(copies=8, capacity=120_000)
RUNS = {
    "contrastive": TINY,
    "sac": replace(TINY, algorithm="sac"),
    "cloning": replace(TINY, algorithm="cloning", mode="offline", collection=RECORDED),
    "both": replace(TINY, mode="offline_then_online", offline_epochs=1, collection=RECORDED),
}
"""Name -> configuration of a run of each algorithm, and of recordings first."""


def saved(epoch: Epoch, folder: Path) -> dict[str, Tensor]:
    epoch.save(folder)
    return load_checkpoint(folder)[0]


def timeless(epoch: Epoch) -> dict[str, float]:
    return {name: value for name, value in epoch.metrics.items() if name not in CLOCKS}


# reproducibility


@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_run_equals_the_uninterrupted_run_bit_for_bit(name: str, tmp_path: Path) -> None:
    config = RUNS[name]
    run, states = [], []
    for epoch in epochs(config):
        run.append(epoch)
        states.append(saved(epoch, tmp_path / str(epoch.number)))
    assert [epoch.number for epoch in run] == [0, 1, 2]
    torch.rand(77)  # what happened before in this process plays no part
    for cut in (0, 1):
        for epoch in epochs(config, resume=tmp_path / str(cut)):
            assert timeless(epoch) == timeless(run[epoch.number])
            found = saved(epoch, tmp_path / f"{cut}-{epoch.number}")
            assert found.keys() == states[epoch.number].keys()
            assert all(torch.equal(found[key], tensor) for key, tensor in states[epoch.number].items())
    assert list(epochs(config, resume=tmp_path / "2")) == []
    for part in ("actor.", "ema.", *(() if name == "cloning" else ("buffer.",))):
        one, two = ({k: v for k, v in state.items() if k.startswith(part)} for state in states[1:])
        assert one.keys() == two.keys() != set()
        assert not all(torch.equal(one[key], tensor) for key, tensor in two.items()), part


def test_the_seed_determines_the_run() -> None:
    found = [timeless(next(islice(epochs(replace(TINY, seed=seed)), 1, None))) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


# modes


def test_rounds_and_steps_of_the_environment_are_those_of_a_plain_count() -> None:
    both = replace(TINY, mode="offline_then_online", epochs=4, offline_epochs=2)
    assert [rounds_of(replace(TINY, epochs=3), epoch) for epoch in range(3)] == [2, 1, 1]
    assert [rounds_of(replace(TINY, mode="offline"), epoch) for epoch in range(2)] == [0, 0]
    assert [rounds_of(both, epoch) for epoch in range(4)] == [0, 0, 2, 1]
    assert [environment_steps(both, count) for count in range(5)] == [0, 0, 0, 320, 480]


@pytest.mark.parametrize("mode", MODES)
def test_the_buffer_begins_with_recordings_where_the_mode_has_them(mode: str) -> None:
    config = replace(TINY, mode=mode, offline_epochs=1, collection=RECORDED)
    splits = load_splits(config.data)
    state = initial_state(config, splits, ALONE)
    recorded = state.buffer.found.trajectories
    assert recorded == (0 if mode == "online" else len(splits["train"]))
    state.epoch = config.epochs - 1
    add_episodes(state, config)
    assert (state.buffer.found.trajectories > recorded) == (mode != "offline")


def test_recordings_that_do_not_fit_into_the_buffer_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^expected `collection\.capacity` for all rows .*capacity=2000, rows="):
        next(epochs(replace(TINY, mode="offline")))


# metrics of an epoch


@pytest.mark.parametrize("name", LEARNERS)
def test_an_epoch_reports_what_was_computed(name: str, tmp_path: Path) -> None:
    run = list(epochs(RUNS[name]))
    assert not any(key.startswith("train/") for key in run[0].metrics if key != names.TRAIN_ENVIRONMENT_STEPS)
    for epoch in run:
        assert all(math.isfinite(value) for value in epoch.metrics.values())
        assert epoch.metrics[names.VAL_REACH_SUCCESS] == 1.0 - epoch.metrics[names.VAL_REACH_FAILURE]
    steps = [epoch.metrics[names.TRAIN_ENVIRONMENT_STEPS] for epoch in run]
    assert steps == ([0.0, 0.0, 0.0] if name == "cloning" else [0.0, 320.0, 480.0])
    assert (names.TRAIN_Q in run[1].metrics) == (name == "sac")
    of_critic = {*DIAGNOSTICS, names.TRAIN_PHI_NORM, names.TRAIN_PSI_NORM}
    assert of_critic & set(run[1].metrics) == (of_critic if name == "contrastive" else set())
    assert (names.TRAIN_ENTROPY in run[1].metrics) == (name != "cloning")
    run[-1].save(tmp_path / "checkpoint")
    record = load_checkpoint(tmp_path / "checkpoint")[1]
    assert (record["config"], record["kind"]) == (plain(RUNS[name]), "agent")


def test_an_epoch_plots_its_trajectories() -> None:
    plots = next(epochs(TINY)).plots
    assert plots is not None
    pixels = plots()["plots/trajectories"]
    assert pixels.shape[1:] == (15 * DPI, 4)
    assert pixels.std() > 1


def test_a_loaded_agent_is_the_averaged_actor(tmp_path: Path) -> None:
    *_, last = epochs(TINY)
    tensors = saved(last, tmp_path / "checkpoint")
    agent = load_agent(tmp_path / "checkpoint")
    assert all(torch.equal(tensors[f"ema.{name}"], tensor) for name, tensor in agent.actor.state_dict().items())
    movements = load_splits(TINY.data)["validation"].take(torch.arange(3))
    actions = agent.along(movements)
    assert [len(part) for part in actions] == [len(part) for part in agent.along(movements)]
    assert all(bool((part.abs() <= 1.0).all()) for part in actions)


# bad input


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    first = next(epochs(TINY))
    first.save(tmp_path / "own")
    with pytest.raises(CheckpointError, match="made with another configuration"):
        next(epochs(replace(TINY, gamma=0.5), resume=tmp_path / "own"))
    tensors, record = load_checkpoint(tmp_path / "own")
    other = {**record, "config": plain(replace(TINY, model=CriticModelConfig(depth=8, width=16)))}
    save_checkpoint(tmp_path / "depth", tensors, other)
    with pytest.raises(CheckpointError, match="weights and configuration do not fit"):
        load_agent(tmp_path / "depth")
    save_checkpoint(tmp_path / "kind", tensors, {**record, "kind": "critic"})
    with pytest.raises(CheckpointError, match="expected a checkpoint of kind `agent`, but got critic"):
        load_agent(tmp_path / "kind")


@pytest.mark.parametrize(
    ("batch_size", "capacity", "episodes"),
    [(17, 1000, 16), (12, 251, 11)],  # two rounds of 8 copies; 11 episodes of 21 states in 251 rows
)
def test_a_batch_larger_than_the_episodes_is_refused_before_the_first_evaluation(
    batch_size: int, capacity: int, episodes: int
) -> None:
    def run(size: int) -> Iterator[Epoch]:
        collection = CollectionConfig(copies=8, warm_up_rounds=1, capacity=capacity)
        return epochs(replace(TINY, batch_size=size, collection=collection, steps_per_epoch=1))

    law = (
        rf"^expected `batch_size` of at most the {episodes} episodes .* batch_size={batch_size}, .* rounds=2, .*; lower"
    )
    with pytest.raises(ConfigError, match=law):
        next(run(batch_size))
    taken = run(episodes)
    assert [next(taken).number for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("mode", ["offline", "offline_then_online"])
def test_a_batch_larger_than_the_recordings_is_refused_before_the_first_evaluation(mode: str) -> None:
    with pytest.raises(ConfigError, match=r"^expected `batch_size <= trajectories`, but got batch_size=5000"):
        next(epochs(replace(TINY, mode=mode, offline_epochs=1, batch_size=5000, collection=RECORDED)))


@pytest.mark.parametrize(
    ("values", "law"),
    [
        ({"algorithm": "ppo"}, "`algorithm` in {cloning, contrastive, sac}"),
        ({"mode": "both"}, "`mode` in {offline, offline_then_online, online}"),
        ({"algorithm": "cloning"}, "`mode=offline` where `algorithm=cloning`"),
        ({"environment": {"layout": "u_maze"}}, "`coordinates=screen` where the layout has obstacles"),
        ({"mode": "offline", "coordinates": "screen"}, "`coordinates=start` where recordings are trained on"),
        ({"mode": "offline_then_online", "offline_epochs": 12}, "`offline_epochs < epochs`"),
        ({"gamma": 0.0}, "`0 < gamma <= 1`"),
        ({"collection": {"capacity": 180}}, "`environment.max_steps < collection.capacity`"),
        ({"policy": {"other_goals": 1.5}}, "`0 <= other_goals <= 1`"),
    ],
)
def test_values_out_of_bounds_are_refused(values: dict[str, object], law: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        build(AgentConfig, values)
    assert law in str(exc_info.value)
    assert "\n" not in str(exc_info.value)


def test_the_cost_is_measured_by_real_steps() -> None:
    cost = measure(TINY)
    assert cost.step_s > 0
    assert cost.evaluation_s > 0
    rows = TINY.collection.capacity * 36  # bytes of a buffer, beside two counters
    assert cost.checkpoint_bytes > rows
    assert cost.worker_bytes == rows + 2 * 8
    assert cost.checkpoint_of(3) == cost.checkpoint_bytes + 2 * cost.worker_bytes


def test_workers_share_the_recordings_of_a_checkpoint() -> None:
    cost = measure(replace(TINY, mode="offline", collection=RECORDED))
    assert cost.checkpoint_of(3) == cost.checkpoint_of(1) > 120_000 * 36


# what it is for


def successes(run: Iterator[Epoch]) -> list[float]:
    return [epoch.metrics[names.VAL_REACH_SUCCESS] for epoch in run]


@pytest.mark.heavy
def test_contrastive_learning_reaches_targets_that_random_actions_do_not() -> None:
    """In 92,160 steps of free space; the untrained policy reaches none of the 1,024 targets.

    Seeds 0 and 1 reach more than 0.6 of them, so that a success of 0.3 is far from either.
    """
    run = successes(epochs(AgentConfig(epochs=3)))
    assert run[0] < 0.02
    assert run[-1] > run[0] + 0.3
