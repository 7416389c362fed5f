"""Train an agent, epoch by epoch: rounds of episodes, then gradient steps on the buffer, then an evaluation.

Every random stream is derived from (seed, purpose, epoch, round, rank), and a checkpoint holds the buffers of all
workers, so that a resumed run equals an uninterrupted one (`trainables.critic.agent.workers`).
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch

from trainables.core.seeding import generator
from trainables.critic.actor import Actor
from trainables.critic.agent.api import Agent
from trainables.critic.agent.batches import Batch, sample
from trainables.critic.agent.collect import collect, exploring
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.evaluation.metrics import AGENT
from trainables.critic.agent.evaluation.plots import plot_trajectories
from trainables.critic.agent.evaluation.reach_evaluation import ReachEvaluation, reach
from trainables.critic.agent.modes import environment_steps, recordings_alone, rounds_of
from trainables.critic.agent.state import State, initial_state, restore_state, save_state
from trainables.critic.agent.workers import buffers_of_others, mean_of, own_stream, require_episodes, require_shares
from trainables.critic.episodes import ACTION
from trainables.data.canonical import Canonical
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.eval.plot_image import Image, image_of
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
        ConfigError, RecordingError: Invalid configuration or data, workers that do not divide a batch or the copies of
            the environment, or a batch of more rows than there are episodes.
        CheckpointError: A checkpoint that is unreadable, or of another configuration, data set or number of workers.
        TrainingDivergedError: A loss is not finite.
    """
    require_shares(config, worker.world_size)
    if resume is None:
        require_episodes(config, worker)
    splits = load_splits(config.data)
    state = initial_state(config, splits, worker)
    if resume is not None:
        restore_state(state, config, splits, resume, worker)
    else:
        if recordings_alone(config, 0):
            state.buffer.require_batch(config.batch_size)
        yield _evaluate(state, config, splits, worker, {})
    while state.epoch < config.epochs:
        training = train_epoch(state, config, worker)
        state.epoch += 1
        yield _evaluate(state, config, splits, worker, training)


def train_epoch(state: State, config: AgentConfig, worker: Worker) -> dict[str, float]:
    """Collect the episodes of an epoch, take its gradient steps, and return the means of what was measured."""
    began, sums = time.perf_counter(), Counter[str]()
    collected = add_episodes(state, config, worker)
    random = stream_of_updates(config, state.epoch, worker)
    for _ in range(config.steps_per_epoch):
        sums.update(update(state, config, random, worker))
    means = mean_of({name: value / config.steps_per_epoch for name, value in sums.items()}, worker)
    timing = {names.TRAIN_STEPS: float(state.step), names.TRAIN_SECONDS: time.perf_counter() - began}
    return {**means, **collected, names.TRAIN_LEARNING_RATE: config.optim.lr, **timing}


def update(state: State, config: AgentConfig, random: torch.Generator, worker: Worker = ALONE) -> dict[str, float]:
    """Train on one batch, of which this worker has its share, and return what was measured."""
    size, rows = share_of_batch(config, state.epoch, worker)
    batch = sample(state.buffer, size, config.gamma, config.policy.other_goals, random, worker.device)
    eps = torch.randn(2, size, ACTION, generator=random).to(worker.device)
    measured = state.learner.update(Batch(*(part[rows] for part in batch)), eps[:, rows])
    state.ema.update(state.learner.policy.actor)
    state.step += 1
    return measured


def stream_of_updates(config: AgentConfig, epoch: int, worker: Worker) -> torch.Generator:
    """Return the stream of an epoch's batches: one of all workers where their buffers are equal, else its own."""
    if recordings_alone(config, epoch):
        return generator(config.seed, "updates", epoch)
    return own_stream(config.seed, worker, "updates", epoch)


def share_of_batch(config: AgentConfig, epoch: int, worker: Worker) -> tuple[int, slice]:
    """Return the rows that a worker draws, and those of them that it takes: its own of a common batch, or all."""
    if recordings_alone(config, epoch):
        return config.batch_size, slice(worker.rank, None, worker.world_size)
    return config.batch_size // worker.world_size, slice(None)


def add_episodes(state: State, config: AgentConfig, worker: Worker = ALONE) -> dict[str, float]:
    """Fill the buffer with this worker's rounds of an epoch.

    Returns:
        How often the episodes of all workers reached their targets, if one ended.
    """
    ended, reached = 0, 0
    for at in range(rounds_of(config, state.epoch)):
        noise = own_stream(config.seed, worker, "actions", state.epoch, at)
        act = exploring(state.learner.policy.actor, noise, config.collection.without_noise)
        random = own_stream(config.seed, worker, "episodes", state.epoch, at)
        copies = config.collection.copies // worker.world_size
        made = collect(act, config.environment, copies, random, config.coordinates)
        state.buffer.add(made.episodes)
        ended, reached = ended + made.ended, reached + made.reached
    found = mean_of({"ended": ended, "reached": reached}, worker)
    return {names.TRAIN_REACHED: found["reached"] / found["ended"]} if found["ended"] else {}


def evaluation_of(state: State, config: AgentConfig) -> ReachEvaluation:
    """Return the results of the averaged actor in the fixed episodes of the validation."""
    act, fixed = averaged(state, config).act, config.evaluation
    return reach(act, config.environment, fixed.episodes, fixed.seed, VALIDATION, config.coordinates)


def averaged(state: State, config: AgentConfig) -> Agent:
    """Return the averaged agent as it stands."""
    actor = state.ema.model
    assert isinstance(actor, Actor)
    return Agent(actor, config)


def training_plots(agent: Agent, movements: Canonical) -> Mapping[str, Image]:
    """Return the plots of an epoch by their names in TensorBoard."""
    return {"plots/trajectories": image_of(lambda file: plot_trajectories(agent, movements, file))}


def _evaluate(
    state: State, config: AgentConfig, splits: DataSplits, worker: Worker, training: Mapping[str, float]
) -> Epoch:
    """Evaluate in the same tasks in every epoch and trial; rank 0 does, and has the buffers of all workers."""
    metrics: dict[str, float] = {names.EPOCH: state.epoch, **training}
    metrics[names.TRAIN_ENVIRONMENT_STEPS] = float(environment_steps(config, state.epoch))
    if environment_steps(config, state.epoch):
        state.others = buffers_of_others(state.buffer, worker)
    plots = None
    if worker.rank == 0:
        began = time.perf_counter()
        metrics |= compute_all(AGENT.metrics, evaluation_of(state, config))
        metrics[names.VAL_SECONDS] = time.perf_counter() - began
        parameters = state.learner.policy.actor.parameters()
        metrics[names.PARAMETERS] = float(sum(parameter.numel() for parameter in parameters))
        plots = partial(training_plots, averaged(state, config), splits["validation"])
    return Epoch(state.epoch, metrics, lambda folder: save_state(state, config, splits, folder), plots)
