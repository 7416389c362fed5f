"""Train a contrastive critic on recordings, epoch by epoch, and validate it on held-out users.

Every random stream is derived from (seed, purpose, epoch), so that a resumed run equals an uninterrupted one. All
workers draw the same batch and embed their own rows; the embeddings of all are gathered, so that each row has the goals
of the whole batch as its candidates, and the loss is that of one process (`trainables.contrastive.gather`).
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from trainables.contrastive.gather import gather
from trainables.core.seeding import generator
from trainables.critic.api import Critic
from trainables.critic.buffer import Buffer, Transitions, filled
from trainables.critic.config import CriticConfig
from trainables.critic.episodes import episodes_of_split
from trainables.critic.evaluation.metrics import CRITIC
from trainables.critic.evaluation.validator import Validator
from trainables.critic.goals import negative_mask
from trainables.critic.losses import LOSSES, Pairs
from trainables.critic.measured import measured
from trainables.critic.networks import CriticNetwork, Embeddings, Scale
from trainables.critic.similarity import SIMILARITIES
from trainables.critic.state import State, initial_state, restore_state, save_state
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.nn.lr_schedule import learning_rate, set_learning_rate
from trainables.training import metric_names as names
from trainables.training.metric import compute_all
from trainables.training.trainable import Epoch, TrainingDivergedError
from trainables.training.worker import ALONE, Worker, require_equal_shares


def epochs(config: CriticConfig, *, resume: Path | None = None, worker: Worker = ALONE) -> Iterator[Epoch]:
    """Train and yield the state after every epoch, beginning with the untrained critic (epoch 0).

    Args:
        resume: Checkpoint folder of the same configuration; the first epoch yielded is the one after it.

    Raises:
        ConfigError, RecordingError: Invalid configuration or data, or a batch of more rows than there are movements.
        CheckpointError: A checkpoint that is unreadable or of another configuration or data set.
        TrainingDivergedError: The loss is not finite.
    """
    require_equal_shares(config, worker.world_size)
    splits = load_splits(config.data)
    buffer = filled(episodes_of_split(splits["train"], config.data.canonical))
    buffer.require_batch(config.batch_size)
    validator = Validator.fit(splits["validation"], splits["train"], config)
    state = initial_state(config, scale_of(buffer), worker)
    evaluate = partial(_evaluate, state, config, splits, validator, worker)
    if resume is not None:
        restore_state(state, config, splits, resume)
    else:
        yield evaluate({})
    while state.epoch < config.epochs:
        training = _train_epoch(state, config, buffer, worker)
        state.epoch += 1
        yield evaluate(training)


def scale_of(buffer: Buffer) -> Scale:
    """Return the statistics of the transitions that can be sampled."""
    rows = buffer.found.rows
    return Scale.fit(buffer.state[rows], buffer.action[rows])


def _train_epoch(state: State, config: CriticConfig, buffer: Buffer, worker: Worker) -> dict[str, float]:
    began, sums = time.perf_counter(), Counter[str]()
    random = generator(config.seed, "transitions", state.epoch)
    for _ in range(config.steps_per_epoch):
        drawn = buffer.sample(config.batch_size, config.gamma, random, goal_velocity=config.goal_velocity)
        sums.update(optimise(state, config, drawn, worker))
    means = {name: value / config.steps_per_epoch for name, value in sums.items()}
    timing = {names.TRAIN_STEPS: float(state.step), names.TRAIN_SECONDS: time.perf_counter() - began}
    return {**means, names.TRAIN_LEARNING_RATE: state.optimizer.param_groups[0]["lr"], **timing}


def optimise(state: State, config: CriticConfig, drawn: Transitions, worker: Worker = ALONE) -> dict[str, float]:
    """Take one step of Adam on a batch, of which this worker embeds its own rows, and return the diagnostics.

    Raises:
        TrainingDivergedError: The loss is NaN or infinite.
    """
    total = config.epochs * config.steps_per_epoch
    set_learning_rate(state.optimizer, learning_rate(state.step, total, config.optim))
    embeddings, trajectory, goal = embed(state.parallel, drawn, worker)
    negative = negative_mask(trajectory, goal, config.tolerance_px)
    f = SIMILARITIES[config.model.similarity](*embeddings) / config.loss.temperature
    pairs = Pairs.of(f, negative)
    loss = LOSSES[config.loss.name](pairs, config.loss.penalty)
    if not math.isfinite(loss.item()):
        raise TrainingDivergedError(f"the loss is {loss.item()} at step {state.step}; lower optim.lr={config.optim.lr}")
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), config.optim.grad_clip)
    state.optimizer.step()
    state.ema.update(state.network)
    state.step += 1
    return {names.TRAIN_LOSS: loss.item(), **measured(pairs, embeddings), names.TRAIN_GRADIENT_NORM: norm.item()}


def embed(network: nn.Module, drawn: Transitions, worker: Worker) -> tuple[Embeddings, Tensor, Tensor]:
    """Return the embeddings, trajectories and goals of the batch; each worker embeds its own rows, and has all."""
    rows = slice(worker.rank, None, worker.world_size)
    parts = (drawn.state, drawn.action, drawn.goal, drawn.trajectory)
    state, action, goal, trajectory = (part[rows].to(worker.device) for part in parts)
    phi, psi, trajectory, goal = gather(*network(state, action, goal), trajectory, goal)
    return Embeddings(phi, psi), trajectory, goal


def _evaluate(
    state: State,
    config: CriticConfig,
    splits: DataSplits,
    validator: Validator,
    worker: Worker,
    training: Mapping[str, float],
) -> Epoch:
    """Validate the averaged critic on the same goals in every epoch and trial; other workers wait for rank 0."""
    metrics: dict[str, float] = {names.EPOCH: state.epoch, **training}
    if worker.rank == 0:
        began = time.perf_counter()
        metrics |= compute_all(CRITIC.metrics, validator(averaged(state, config)))
        metrics[names.VAL_SECONDS] = time.perf_counter() - began
        metrics[names.PARAMETERS] = float(sum(parameter.numel() for parameter in state.network.parameters()))
    return Epoch(state.epoch, metrics, lambda folder: save_state(state, config, splits, folder))


def averaged(state: State, config: CriticConfig) -> Critic:
    """Return the averaged critic as it stands."""
    network = state.ema.model
    assert isinstance(network, CriticNetwork)
    return Critic(
        network, config.model.similarity, config.goal_velocity, config.loss.temperature, config.data.canonical
    )
