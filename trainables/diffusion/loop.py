"""The diffusion trainable: a denoiser of human movements, trained epoch by epoch and evaluated on held-out users.

One optimisation step: draw t, noise, forgotten conditions and negatives for the whole batch; every worker takes its
rows of it, in as many parts as configured; denoising loss plus ranking term; clip; AdamW; EMA. Every random stream
is derived from (seed, purpose, epoch), so that a run resumed at any epoch continues as if never interrupted.

    python -m trainables.diffusion.train experiment=cpu
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainables.augmentation.training_set import TrainingSet, training_set
from trainables.core.config import require
from trainables.core.seeding import derive, generator
from trainables.data.dataset import Batch, SequenceDataset, weighted_batches
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.diffusion.config import DiffusionConfig, OptimConfig
from trainables.diffusion.latents.fit import fit_autoencoder
from trainables.diffusion.motion import in_diffusion_space
from trainables.diffusion.objective import (
    Loss,
    Objective,
    StepRandomness,
    diffusion_loss,
    sample_randomness,
    shard,
)
from trainables.diffusion.ranking_term import condition_queue, draw_negatives
from trainables.diffusion.state import State, initial_state, restore_state, save_state
from trainables.diffusion.validation import sampler_of, validation_loss
from trainables.eval.generation.training_plots import training_plots
from trainables.eval.generation.validator import Validator
from trainables.nn.lr_schedule import learning_rate, set_learning_rate
from trainables.training import metric_names as names
from trainables.training.trainable import Epoch, TrainingDivergedError
from trainables.training.worker import ALONE, Worker, decided_by_first


def epochs(config: DiffusionConfig, *, resume: Path | None = None, worker: Worker = ALONE) -> Iterator[Epoch]:
    """Train and yield the state after every epoch, beginning with the untrained model (epoch 0).

    Args:
        resume: A checkpoint folder of the same configuration; the first epoch yielded is the one after it.

    Raises:
        ConfigError, RecordingError: wrong configuration or data, before any training.
        CheckpointError: `resume` is unreadable or belongs to another configuration or data set.
        TrainingDivergedError: a loss that is not finite.
    """
    require_shares(config, worker)
    splits = load_splits(config.data).with_ends(config.motion.ends)
    dataset = training_set(splits, config.data.canonical, config.augmentation, config.seed)
    objective = Objective.of(config.diffusion)
    validator = Validator.fit(splits["validation"], splits["train"], config.data.canonical, config.evaluation)
    if resume is not None:
        state = initial_state(config, worker, splits.statistics.condition_width)
        restore_state(state, config, splits, resume)
    else:
        state = untrained_state(config, dataset, worker)
        yield _evaluate(state, config, splits, objective, validator, {}, worker)
    while state.epoch < config.epochs and not _exhausted(state, config, worker):
        training = train_epoch(state, config, dataset, objective, worker)
        state.epoch += 1
        yield _evaluate(state, config, splits, objective, validator, training, worker)


def require_shares(config: DiffusionConfig, worker: Worker) -> None:
    """Raise ConfigError unless every worker has as many rows of a part of a batch as any other."""
    shares = worker.world_size * config.optim.accumulate
    require(
        config.batch_size % shares == 0,
        "`workers * accumulate` to divide `batch_size`",
        f"workers={worker.world_size}, accumulate={config.optim.accumulate}, batch_size={config.batch_size}",
    )
    require(
        not config.latent.enabled or config.latent.batch_size % worker.world_size == 0,
        "`workers` to divide `latent.batch_size`",
        f"workers={worker.world_size}, batch_size={config.latent.batch_size}",
    )


def untrained_state(config: DiffusionConfig, dataset: TrainingSet, worker: Worker) -> State:
    """Return the state before the first step; the autoencoder of a latent diffusion is fitted."""
    state = initial_state(config, worker, dataset.statistics.condition_width)
    if config.latent.enabled:
        some = next(dataset.parts(generator(config.seed, "autoencoder rows")))
        state.autoencoder = fit_autoencoder(some.dataset, config.latent, config.seed, worker)
    return state


def trained(config: DiffusionConfig, dataset: TrainingSet) -> tuple[State, dict[str, float]]:
    """Train to the end without an evaluation in between.

    Returns:
        The state after the last epoch, and the mean parts of its loss.

    Raises:
        TrainingDivergedError: a loss that is not finite.
    """
    objective = Objective.of(config.diffusion)
    state, measured = untrained_state(config, dataset, ALONE), dict[str, float]()
    while state.epoch < config.epochs:
        measured = train_epoch(state, config, dataset, objective, ALONE)
        state.epoch += 1
    return state, measured


def _exhausted(state: State, config: DiffusionConfig, worker: Worker) -> bool:
    """Whether validation has not improved for too long; rank 0, which alone evaluates, decides for all workers."""
    patience = config.early_stopping.patience
    if patience == 0:
        return False
    return decided_by_first(worker, state.patience.stale >= patience)


def train_epoch(
    state: State, config: DiffusionConfig, dataset: TrainingSet, objective: Objective, worker: Worker
) -> dict[str, float]:
    """Train for one epoch and return the mean parts of the loss; the caller counts the epoch.

    Raises:
        TrainingDivergedError: a loss is NaN or infinite.
    """
    began = time.perf_counter()
    torch.manual_seed(derive(config.seed, "dropout", state.epoch, worker.rank))
    streams = {use: generator(config.seed, use, state.epoch) for use in ("order", "noise", "negatives")}
    total = config.epochs * config.steps_per_epoch
    queue = condition_queue(config.contrastive, dataset.statistics.condition_width)
    motion = dataset.statistics if config.motion.channel else None
    sums, counts = Counter[str](), Counter[str]()
    stream = weighted_batches(dataset.passed, config.batch_size, streams["order"])
    for batch, weight in islice(stream, config.steps_per_epoch):
        batch = in_diffusion_space(batch, state.autoencoder, motion)
        drawn = sample_randomness(batch, config.diffusion, streams["noise"], estimates=config.model.self_condition)
        negatives = draw_negatives(
            batch.condition, config.contrastive, streams["negatives"], queue, drawn.drop_condition, state.step
        )
        queue = queue.push(batch.condition)
        set_learning_rate(state.optimizer, learning_rate(state.step, total, config.optim))
        drawn = drawn._replace(negatives=negatives)
        measured = optimise(state, config, batch, drawn, objective, worker, weight)
        sums.update(measured)
        counts.update(measured.keys())
    means = {name: value / counts[name] for name, value in sums.items()}
    timing = {names.TRAIN_STEPS: float(state.step), names.TRAIN_SECONDS: time.perf_counter() - began}
    return {**means, names.TRAIN_LEARNING_RATE: state.optimizer.param_groups[0]["lr"], **timing}


def optimise(
    state: State,
    config: DiffusionConfig,
    batch: Batch,
    drawn: StepRandomness,
    objective: Objective,
    worker: Worker = ALONE,
    weight: Float[Tensor, "B"] | None = None,
) -> dict[str, float]:
    """One step of AdamW on this worker's rows of a batch, in `accumulate` parts; returns the parts of the loss.

    Each row counts by its `weight`, where there are weights. Parts and workers have equally many rows, so the mean of
    their gradients is the gradient of the whole batch; the ranking term alone takes its unit of distance from each
    part.

    Raises:
        TrainingDivergedError: the loss is NaN or infinite.
    """
    parts = config.optim.accumulate

    def loss_of(part: int) -> dict[str, Tensor]:
        index, count = worker.rank + part * worker.world_size, parts * worker.world_size
        mine = shard(batch, drawn, index, count, worker.device)
        weighed = None if weight is None else weight[index::count].to(worker.device)
        return _parts_of(diffusion_loss(state.parallel, objective, *mine, config.contrastive, worker.mean, weighed))

    state.parallel.train()
    return descend(state, config.optim, loss_of, worker)


def descend(
    state: State, optim: OptimConfig, loss_of: Callable[[int], Mapping[str, Tensor]], worker: Worker = ALONE
) -> dict[str, float]:
    """One step of AdamW on the mean loss of `accumulate` parts of a batch; returns the parts of the loss.

    Args:
        loss_of: Number of a part -> its loss, under `names.TRAIN_LOSS`, with what else is to be logged.

    Raises:
        TrainingDivergedError: the loss is NaN or infinite.
    """
    state.optimizer.zero_grad(set_to_none=True)
    parts, sums, counts = optim.accumulate, Counter[str](), Counter[str]()
    for part in range(parts):
        with _synchronised(state.parallel, part == parts - 1):
            with autocast(worker.device, optim.mixed_precision):
                losses = loss_of(part)
            (losses[names.TRAIN_LOSS] / parts).backward()
        measured = {name: value.item() for name, value in losses.items()}
        if not math.isfinite(measured[names.TRAIN_LOSS]):
            raise TrainingDivergedError(
                f"the loss is {measured[names.TRAIN_LOSS]} at step {state.step}; lower optim.lr={optim.lr}"
            )
        sums.update(measured)
        counts.update(measured.keys())
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), optim.grad_clip)
    state.optimizer.step()
    state.ema.update(state.model)
    state.step += 1
    return {
        **{name: value / counts[name] for name, value in sums.items()},
        names.TRAIN_GRADIENT_NORM: norm.item(),
    }


def _parts_of(loss: Loss) -> dict[str, Tensor]:
    parts = {
        names.TRAIN_LOSS: loss.total,
        names.TRAIN_DENOISING: loss.denoising,
        names.TRAIN_RANKING: loss.ranking,
        names.TRAIN_RANKING_ACCURACY: loss.ranking_accuracy,
    }
    return {name: part for name, part in parts.items() if part is not None}


def _synchronised(model: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """Workers exchange gradients once a step: after the last part."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) and not last else nullcontext()


def autocast(device: torch.device, wanted: bool) -> AbstractContextManager[Any]:
    """bfloat16 autocast where the device has units for it; elsewhere it would be several times slower than float32."""
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16) if wanted and native else nullcontext()


def _evaluate(
    state: State,
    config: DiffusionConfig,
    splits: DataSplits,
    objective: Objective,
    validator: Validator,
    training: Mapping[str, float],
    worker: Worker,
) -> Epoch:
    """Evaluate the averaged weights with the same noise in every epoch and trial; other workers wait for rank 0."""
    metrics: dict[str, float] = {names.EPOCH: state.epoch, **training}
    plots = None
    if worker.rank == 0:
        began = time.perf_counter()
        sampler = sampler_of(state, config, splits, objective)
        held_out = SequenceDataset(validator.held_out, splits.statistics)
        metrics[names.VAL_LOSS] = validation_loss(state, config, held_out, objective, worker.device)
        fake = sampler.sample_matching(validator.held_out, seed=config.evaluation.seed)
        metrics |= validator(fake)
        plots = partial(training_plots, validator, fake)
        metrics[names.VAL_SECONDS] = time.perf_counter() - began
        metrics[names.PARAMETERS] = float(sum(p.numel() for p in state.model.parameters()))
        if config.early_stopping.metric in metrics:
            state.patience.after(metrics[config.early_stopping.metric], config.early_stopping.min_delta)
    return Epoch(state.epoch, metrics, lambda folder: save_state(state, config, splits, folder), plots)
