"""Train an agent, epoch by epoch: rounds of episodes, then gradient steps on the buffer, then an evaluation.

Every random stream is derived from (seed, purpose, epoch), and a checkpoint holds the buffer, so that a resumed run
equals an uninterrupted one.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.critic.actor import Actor
from trainables.critic.agent.batches import sample
from trainables.critic.agent.collect import collect, deterministic, exploring
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.evaluation.metrics import AGENT
from trainables.critic.agent.evaluation.reach_evaluation import ReachEvaluation, reach
from trainables.critic.agent.modes import environment_steps, rounds_of
from trainables.critic.agent.state import State, initial_state, restore_state, save_state
from trainables.critic.episodes import ACTION
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.training import metric_names as names
from trainables.training.metric import compute_all
from trainables.training.trainable import Epoch
from trainables.training.worker import ALONE, Worker

VALIDATION = "validation"


def epochs(config: AgentConfig, *, resume: Path | None = None, worker: Worker = ALONE) -> Iterator[Epoch]:
    """Train and yield the state after every epoch, beginning with the untrained agent (epoch 0).

    Args:
        resume: Checkpoint folder of the same configuration; the first epoch yielded is the one after it.

    Raises:
        ConfigError, RecordingError: Invalid configuration or data, several workers, or a batch of more rows than there
            are episodes.
        CheckpointError: A checkpoint that is unreadable or of another configuration or data set.
        TrainingDivergedError: A loss is not finite.
    """
    require(worker.world_size == 1, "one worker for an agent", f"workers={worker.world_size}")
    splits = load_splits(config.data)
    state = initial_state(config, splits, worker)
    if resume is not None:
        restore_state(state, config, splits, resume)
    else:
        yield _evaluate(state, config, splits, {})
    while state.epoch < config.epochs:
        training = train_epoch(state, config, worker.device)
        state.epoch += 1
        yield _evaluate(state, config, splits, training)


def train_epoch(state: State, config: AgentConfig, device: torch.device) -> dict[str, float]:
    """Collect the episodes of an epoch, take its gradient steps, and return the means of what was measured."""
    began, sums = time.perf_counter(), Counter[str]()
    collected = add_episodes(state, config)
    random = generator(config.seed, "updates", state.epoch)
    for _ in range(config.steps_per_epoch):
        sums.update(update(state, config, random, device))
    means = {name: value / config.steps_per_epoch for name, value in sums.items()}
    timing = {names.TRAIN_STEPS: float(state.step), names.TRAIN_SECONDS: time.perf_counter() - began}
    return {**means, **collected, names.TRAIN_LEARNING_RATE: config.optim.lr, **timing}


def update(state: State, config: AgentConfig, random: torch.Generator, device: torch.device) -> dict[str, float]:
    """Train on one batch of the buffer and return what was measured."""
    batch = sample(state.buffer, config.batch_size, config.gamma, config.policy.other_goals, random, device)
    eps = torch.randn(2, config.batch_size, ACTION, generator=random).to(device)
    measured = state.learner.update(batch, eps)
    state.ema.update(state.learner.policy.actor)
    state.step += 1
    return measured


def add_episodes(state: State, config: AgentConfig) -> dict[str, float]:
    """Fill the buffer with the rounds of an epoch, and return how often they reached their targets, if one ended."""
    ended, reached = 0, 0
    for at in range(rounds_of(config, state.epoch)):
        noise = generator(config.seed, "actions", state.epoch, at)
        act = exploring(state.learner.policy.actor, noise, config.collection.without_noise)
        random = generator(config.seed, "episodes", state.epoch, at)
        made = collect(act, config.environment, config.collection.copies, random, config.coordinates)
        state.buffer.add(made.episodes)
        ended, reached = ended + made.ended, reached + made.reached
    return {names.TRAIN_REACHED: reached / ended} if ended else {}


def evaluation_of(state: State, config: AgentConfig) -> ReachEvaluation:
    """Return the results of the averaged actor in the fixed episodes of the validation."""
    actor, fixed = state.ema.model, config.evaluation
    assert isinstance(actor, Actor)
    act = deterministic(actor)
    return reach(act, config.environment, fixed.episodes, fixed.seed, VALIDATION, config.coordinates)


def _evaluate(state: State, config: AgentConfig, splits: DataSplits, training: Mapping[str, float]) -> Epoch:
    """Evaluate in the same episodes in every epoch and trial."""
    began = time.perf_counter()
    metrics: dict[str, float] = {names.EPOCH: state.epoch, **training}
    metrics[names.TRAIN_ENVIRONMENT_STEPS] = float(environment_steps(config, state.epoch))
    metrics |= compute_all(AGENT.metrics, evaluation_of(state, config))
    metrics[names.VAL_SECONDS] = time.perf_counter() - began
    metrics[names.PARAMETERS] = float(sum(parameter.numel() for parameter in state.learner.policy.actor.parameters()))
    return Epoch(state.epoch, metrics, lambda folder: save_state(state, config, splits, folder))
