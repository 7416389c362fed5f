"""The adversarial trainable: a conditional WGAN-GP, trained epoch by epoch and evaluated as the diffusion model is.

One step: `critic_steps` times a batch for the critic, against fakes made under the same conditions; then one batch for
the generator; then its average. Every random stream is derived from (seed, purpose, epoch), so that a run resumed at
any epoch continues as if never cut.

References: Improved Training of Wasserstein GANs (Gulrajani et al., 2017), algorithm 1, arXiv:1704.00028.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from trainables.augmentation.training_set import TrainingSet, training_set
from trainables.core.seeding import generator
from trainables.data.dataset import Batch, batches, shared
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.splits.statistics import Statistics
from trainables.eval.generation.training_plots import training_plots
from trainables.eval.generation.validator import Validator
from trainables.gan.api import GanGenerator
from trainables.gan.config import GanConfig, GanOptimConfig
from trainables.gan.dequantise import dequantised
from trainables.gan.objective import StepRandomness, critic_loss, generator_loss, sample_randomness
from trainables.gan.state import NetworkAndOptimizer, State, count_parameters, initial_state, restore_state, save_state
from trainables.generation.conditions import conditions_of
from trainables.nn.lr_schedule import set_learning_rate
from trainables.training import metric_names as names
from trainables.training.trainable import Epoch, TrainingDivergedError
from trainables.training.worker import ALONE, Worker, require_equal_shares


def epochs(config: GanConfig, *, resume: Path | None = None, worker: Worker = ALONE) -> Iterator[Epoch]:
    """Train and yield the state after every epoch, beginning with the untrained generator (epoch 0).

    Args:
        resume: A checkpoint folder of the same configuration; the first epoch yielded is the one after it.

    Raises:
        ConfigError, RecordingError: wrong configuration or data, before any training.
        CheckpointError: `resume` is unreadable or belongs to another configuration or data set.
        TrainingDivergedError: a loss that is not finite.
    """
    require_equal_shares(config, worker.world_size)
    splits = load_splits(config.data)
    dataset = training_set(splits, config.data.canonical, config.augmentation, config.seed)
    validator = Validator.fit(splits["validation"], splits["train"], config.data.canonical, config.evaluation)
    state = initial_state(config, splits.statistics, worker)
    if resume is not None:
        restore_state(state, config, splits, resume)
    else:
        yield _evaluate(state, config, splits, validator, {}, worker)
    while state.epoch < config.epochs:
        training = _train_epoch(state, config, dataset, worker)
        state.epoch += 1
        yield _evaluate(state, config, splits, validator, training, worker)


def _train_epoch(state: State, config: GanConfig, dataset: TrainingSet, worker: Worker) -> dict[str, float]:
    began = time.perf_counter()
    random = generator(config.seed, "noise", state.epoch)
    stream = batches(dataset.passed, config.batch_size, generator(config.seed, "order", state.epoch))
    if config.optim.dequantise:
        stream = shifted(stream, dataset.statistics, generator(config.seed, "dequantise", state.epoch))
    sums = Counter[str]()
    for _ in range(config.steps_per_epoch):
        sums.update(train_step(state, config, stream, random, worker))
    means = {name: value / config.steps_per_epoch for name, value in sums.items()}
    timing = {names.TRAIN_STEPS: float(state.step), names.TRAIN_SECONDS: time.perf_counter() - began}
    return {**means, names.TRAIN_LEARNING_RATE: state.generator.optimizer.param_groups[0]["lr"], **timing}


def shifted(stream: Iterator[Batch], statistics: Statistics, random: torch.Generator) -> Iterator[Batch]:
    """The batches with their real sequences dequantised."""
    for batch in stream:
        yield batch._replace(sequences=dequantised(batch.sequences, statistics, random))


def train_step(
    state: State, config: GanConfig, stream: Iterator[Batch], random: torch.Generator, worker: Worker = ALONE
) -> dict[str, float]:
    """Train both networks for one step on the next batches; return the losses, the critic's as means over its steps.

    Raises:
        TrainingDivergedError: a loss is NaN or infinite.
    """
    critic_lr, generator_lr = learning_rates(state.step, config.epochs * config.steps_per_epoch, config.optim)
    set_learning_rate(state.critic.optimizer, critic_lr)
    set_learning_rate(state.generator.optimizer, generator_lr)
    steps, sums = config.optim.critic_steps, Counter[str]()
    for _ in range(steps):
        sums.update(train_critic(state, config, *_next(stream, config, random, worker)))
    loss = train_generator(state, config, *_next(stream, config, random, worker))
    state.ema.update(state.generator.network)
    state.step += 1
    return {**{name: value / steps for name, value in sums.items()}, names.TRAIN_GENERATOR: loss}


def train_critic(state: State, config: GanConfig, batch: Batch, drawn: StepRandomness) -> dict[str, float]:
    """One step of the critic against fakes of the generator as it stands; returns the parts of its loss."""
    with torch.no_grad():
        fake = state.generator.network(drawn.latent, drawn.noise, batch.sequences.mask, batch.condition)
    loss = critic_loss(state.critic.parallel, batch, fake, drawn.mix, config.optim.gradient_penalty)
    optimizer_step(state.critic, loss.total, state.step, f"optim.critic_lr={config.optim.critic_lr}")
    return {
        names.TRAIN_CRITIC: loss.total.item(),
        names.TRAIN_WASSERSTEIN: loss.distance.item(),
        names.TRAIN_GRADIENT_PENALTY: loss.penalty.item(),
    }


def train_generator(state: State, config: GanConfig, batch: Batch, drawn: StepRandomness) -> float:
    """One step of the generator; the critic is called as it is, outside of data-parallel wrappers, and not changed."""
    state.critic.network.requires_grad_(False)
    fake = state.generator.parallel(drawn.latent, drawn.noise, batch.sequences.mask, batch.condition)
    loss = generator_loss(state.critic.network, batch, fake)
    optimizer_step(state.generator, loss, state.step, f"optim.generator_lr={config.optim.generator_lr}")
    state.critic.network.requires_grad_(True)
    return loss.item()


def optimizer_step(trained: NetworkAndOptimizer, loss: Tensor, step: int, rate: str) -> None:
    """Take one optimisation step; TrainingDivergedError for a loss that is not finite, naming the rate to lower."""
    if not math.isfinite(loss.item()):
        raise TrainingDivergedError(f"the loss is {loss.item()} at step {step}; lower {rate}")
    trained.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    trained.optimizer.step()


def _next(
    stream: Iterator[Batch], config: GanConfig, random: torch.Generator, worker: Worker
) -> tuple[Batch, StepRandomness]:
    """The next batch with its randomness, drawn whole: what this worker takes of it does not change the others'."""
    batch = next(stream)
    drawn = sample_randomness(batch.sequences.mask, config.model.latent_dim, config.model.noise_channels, random)
    return shard(batch, drawn, worker)


def shard(batch: Batch, drawn: StepRandomness, worker: Worker) -> tuple[Batch, StepRandomness]:
    """The slice of a batch and of its randomness that this worker computes, on its device."""
    rank, size, place = worker.rank, worker.world_size, worker.device
    return shared(batch, rank, size, place), StepRandomness(*(part[rank::size].to(place) for part in drawn))


def learning_rates(step: int, total: int, config: GanOptimConfig) -> tuple[float, float]:
    """The critic's rate, falling linearly from step 0 to `final_lr_share` of it at step `total`, and the generator's.

    That one falls alike, and is multiplied by (step + 1) / warmup_steps before.
    """
    share = 1.0 - (1.0 - config.final_lr_share) * min(step / total, 1.0)
    warm = min((step + 1) / config.warmup_steps, 1.0) if config.warmup_steps else 1.0
    return share * config.critic_lr, share * warm * config.generator_lr


def _evaluate(
    state: State,
    config: GanConfig,
    splits: DataSplits,
    validator: Validator,
    training: Mapping[str, float],
    worker: Worker,
) -> Epoch:
    """Evaluate the averaged generator with the same noise in every epoch and trial; other workers wait for rank 0."""
    metrics: dict[str, float] = {names.EPOCH: state.epoch, **training}
    plots = None
    if worker.rank == 0:
        began = time.perf_counter()
        known = conditions_of(splits["train"])
        sampler = GanGenerator(state.ema.model, config.model, splits.statistics, config.data.canonical, known)
        fake = sampler.sample_matching(validator.held_out, seed=config.evaluation.sampling_seed)
        metrics |= validator(fake)
        plots = partial(training_plots, validator, fake)
        metrics[names.VAL_SECONDS] = time.perf_counter() - began
        metrics[names.PARAMETERS] = float(count_parameters([state.generator.network]))
    return Epoch(state.epoch, metrics, lambda folder: save_state(state, config, splits, folder), plots)
