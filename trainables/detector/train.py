"""Train a detector of users against bots, epoch by epoch, and validate it on seen and unseen families.

Each epoch has other bots, and every random stream is derived from (seed, purpose, epoch), so that a resumed run equals
an uninterrupted one.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainables.core.seeding import derive, generator
from trainables.data.dataset import like_lengths
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.detector.api import Detector
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.goal_consistency import GoalConsistency, require_same_critic
from trainables.detector.dataset.training_set import (
    DetectorDataset,
    Inputs,
    Item,
    Scaling,
    Targets,
    TrainingSet,
    label_maps,
)
from trainables.detector.evaluation.validator import Validator
from trainables.detector.model import Outputs
from trainables.detector.objective import Losses, detector_loss
from trainables.detector.state import State, frozen_weights, initial_state, restore_state, save_state
from trainables.nn.lr_schedule import learning_rate, set_learning_rate
from trainables.training import metric_names as names
from trainables.training.checkpoint import load_record
from trainables.training.trainable import Epoch, TrainingDivergedError
from trainables.training.worker import ALONE, Worker, require_equal_shares

TERMS_OF_LOSS = (
    names.TRAIN_LOSS,
    names.TRAIN_CROSS_ENTROPY,
    names.TRAIN_TASK_CONTRASTIVE,
    names.TRAIN_EMBODIMENT_CONTRASTIVE,
    names.TRAIN_CLUB,
)


def epochs(config: DetectorConfig, *, resume: Path | None = None, worker: Worker = ALONE) -> Iterator[Epoch]:
    """Train and yield the state after every epoch, beginning with the untrained detector (epoch 0).

    Args:
        resume: Checkpoint folder of the same configuration; the first epoch yielded is the one after it.

    Raises:
        ConfigError, RecordingError: Invalid configuration or data, or too few negatives, before any training.
        CheckpointError: A checkpoint that is unreadable or of another configuration, critic or data set.
        TrainingDivergedError: The loss is not finite.
    """
    require_equal_shares(config, worker.world_size)
    splits = load_splits(config.data)
    goals, maps = GoalConsistency.of_checkpoint(config.critic_checkpoint, splits), label_maps()
    scaling = Scaling.fit(splits, goals)
    dataset = TrainingSet(splits["train"], scaling, maps, config)
    frozen = {"frozen": frozen_weights(config, splits.sha256)}
    summary = dataset.account() | frozen  # raises the errors of a source before any training
    validator = Validator.fit(splits["validation"], scaling, config)
    state = initial_state(config, len(splits.statistics.mean), worker, scaling.width)
    evaluate = partial(_evaluate, state, config, splits, scaling, summary, validator, worker)
    if resume is not None:
        require_same_critic(goals, load_record(resume), resume)
        restore_state(state, config, splits, resume)
    else:
        yield evaluate({})
    while state.epoch < config.epochs:
        training = _train_epoch(state, config, dataset, worker)
        state.epoch += 1
        yield evaluate(training)


def _train_epoch(state: State, config: DetectorConfig, dataset: TrainingSet, worker: Worker) -> dict[str, float]:
    began = time.perf_counter()
    torch.manual_seed(derive(config.seed, "dropout", state.epoch, worker.rank))
    examples, _ = dataset.dataset(dataset.negatives(state.epoch))
    sums, counts = Counter[str](), Counter[str]()
    for item in islice(items(examples, config, state.epoch), config.steps_per_epoch):
        measured = optimise(state, config, item, worker)
        sums.update(measured)
        counts.update(measured.keys())
    means = {name: value / counts[name] for name, value in sums.items()}
    timing = {names.TRAIN_STEPS: float(state.step), names.TRAIN_SECONDS: time.perf_counter() - began}
    group = state.optimizer.param_groups[0]
    return {**means, names.TRAIN_LEARNING_RATE: group["lr"] / group["scale"], **timing}


def items(examples: DetectorDataset, config: DetectorConfig, epoch: int) -> Iterator[Item]:
    """Yield batches of similar lengths without end, pass after pass."""
    order, length = generator(config.seed, "order", epoch), examples.inputs.mask.sum(dim=1)
    while True:
        for rows in like_lengths(length, config.batch_size, order):
            yield examples[rows]


def shard(item: Item, worker: Worker) -> Item:
    """Return the rows of a batch that this worker computes, on its device."""
    rows = slice(worker.rank, None, worker.world_size)
    inputs, targets, *weight = item
    own = (
        Inputs(*(part[rows].to(worker.device) for part in inputs)),
        Targets(*(part[rows].to(worker.device) for part in targets)),
    )
    return (*own, weight[0][rows].to(worker.device)) if weight else own


def optimise(state: State, config: DetectorConfig, item: Item, worker: Worker = ALONE) -> dict[str, float]:
    """Take one step of AdamW on this worker's rows of a batch and return the terms of the loss.

    Raises:
        TrainingDivergedError: The loss is NaN or infinite.
    """
    inputs, targets, *weight = shard(item, worker)
    total = config.epochs * config.steps_per_epoch
    set_learning_rate(state.optimizer, learning_rate(state.step, total, config.optim))
    state.parallel.train()
    state.network.trunk.train(not config.model.frozen_from)
    outputs = Outputs(*state.parallel(*inputs))
    weights = weight[0] if weight else None
    losses = detector_loss(outputs, targets, weights, config.loss, state.club, state.club_optimizer)
    if not math.isfinite(losses.total.item()):
        raise TrainingDivergedError(
            f"the loss is {losses.total.item()} at step {state.step}; lower optim.lr={config.optim.lr}"
        )
    state.optimizer.zero_grad(set_to_none=True)
    losses.total.backward()
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), config.optim.grad_clip)
    state.optimizer.step()
    state.ema.update(state.network)
    state.step += 1
    return {**_terms_of(losses), names.TRAIN_GRADIENT_NORM: norm.item()}


def _terms_of(losses: Losses) -> dict[str, float]:
    terms = dict(zip(TERMS_OF_LOSS, losses, strict=True))
    return {name: term.item() for name, term in terms.items() if term is not None}


def _evaluate(
    state: State,
    config: DetectorConfig,
    splits: DataSplits,
    scaling: Scaling,
    summary: Mapping[str, Any],
    validator: Validator,
    worker: Worker,
    training: Mapping[str, float],
) -> Epoch:
    """Validate the averaged detector on the same bots in every epoch and trial; other workers wait for rank 0."""
    metrics: dict[str, float] = {names.EPOCH: state.epoch, **training}
    temperature = 1.0
    if worker.rank == 0:
        began = time.perf_counter()
        detector = Detector(state.ema.model, scaling, config.data.canonical)
        temperature, validation = validator(detector)
        metrics |= validation
        metrics[names.VAL_SECONDS] = time.perf_counter() - began
        metrics[names.PARAMETERS] = float(sum(parameter.numel() for parameter in state.network.parameters()))
    record = {**summary, "temperature": temperature}
    return Epoch(state.epoch, metrics, lambda folder: save_state(state, config, splits, scaling, record, folder))
