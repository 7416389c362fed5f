"""The co-training: a physical model and a diffusion, warmed up on real movements, then trained in cycles.

One cycle: the physical model makes round(alpha N) movements, the diffusion is trained on them and the real ones; the
diffusion makes as many, and the physical model is refitted on these and the real ones. Both are evaluated on real
movements of validation users, and the version of a model that is not better by the margin is reverted. Every
balance is checked before anything is trained on it.

An epoch trains one model, so that a run can be resumed, pruned and stopped at every point of a cycle. Every random
stream is derived from (seed, purpose, epoch or cycle), and what the models exchange is a function of their weights: a
resumed run continues as if never interrupted. With nothing exchanged both models are trained as they are alone, bit
for bit.
"""

import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from trainables.cotraining.config import SIDES, CotrainingConfig
from trainables.cotraining.cycle import Version, settle
from trainables.cotraining.decision import better_side
from trainables.cotraining.exchange import balance_of, exchanged, exchanged_count, weights_of
from trainables.cotraining.models import Models
from trainables.cotraining.refit import refit
from trainables.cotraining.schedule import Place, place_of
from trainables.cotraining.state import State, initial_fit, restore_state, save_state
from trainables.data.dataset import SequenceDataset
from trainables.diffusion import loop
from trainables.diffusion.state import initial_state as initial_diffusion
from trainables.eval.generation.training_plots import training_plots
from trainables.physical.fit_report import fit_metrics
from trainables.physical.state import population_components, quality_of
from trainables.physical.train import next_state
from trainables.training import metric_names as names
from trainables.training.trainable import Epoch
from trainables.training.worker import ALONE, Worker


def require_shares(config: CotrainingConfig, workers: int) -> None:
    """Raise ConfigError unless the workers can share the batches of the diffusion."""
    loop.require_shares(config.of_diffusion(), workers)


def epochs(config: CotrainingConfig, *, resume: Path | None = None, worker: Worker = ALONE) -> Iterator[Epoch]:
    """Train and yield the state after every epoch, beginning with both models untrained (epoch 0).

    Every worker makes and fits the same movements; the steps of the diffusion are shared, and the first evaluates.

    Args:
        resume: A checkpoint folder of the same configuration; the first epoch yielded is the one after it.

    Raises:
        ConfigError, RecordingError: wrong configuration or data, before any training.
        CheckpointError: `resume` or the physical checkpoint is unreadable or belongs to another configuration or data.
        TrainingDivergedError: a loss that is not finite, or a model whose samples are no movements.
    """
    require_shares(config, worker.world_size)
    models = Models.of(config, worker)
    if resume is None:
        state = untrained_state(models)
        yield epoch_of(state, models, {})
    else:
        diffusion = initial_diffusion(models.of_diffusion, worker, models.splits.statistics.condition_width)
        state = restore_state(diffusion, config, models.splits, resume)
    yield from later_epochs(state, models)


def later_epochs(state: State, models: Models) -> Iterator[Epoch]:
    """Train a state on, to the end of the run, and yield it after every epoch.

    Raises:
        TrainingDivergedError: a loss that is not finite, or a model whose samples are no movements.
    """
    config = models.config
    while state.epoch < config.epochs and not 0 < config.patience <= state.stale:
        place, began = place_of(state.epoch + 1, config), time.perf_counter()
        step = train_diffusion if place.side == "diffusion" else fit_physical
        training = step(state, models, place)
        spent_s = time.perf_counter() - began - training.get(names.VAL_SECONDS, 0.0)
        state.epoch += 1
        yield epoch_of(state, models, {**training, names.TRAIN_SECONDS: spent_s})


def untrained_state(models: Models) -> State:
    """Return the state before the first epoch, with both models evaluated."""
    diffusion = loop.untrained_state(models.of_diffusion, models.training_set(0).dataset, models.worker)
    physical = initial_fit(models.config, models.fitted, models.splits.sha256)
    state = State(diffusion, physical, population_components(physical, models.fitted))
    for side in SIDES:
        models.evaluate(state, side)
    return state


def train_diffusion(state: State, models: Models, place: Place) -> dict[str, float]:
    """Train the diffusion for one epoch, in a cycle on real and generated movements."""
    if place.begins:
        state.begin_cycle()
    made = models.training_set(place.cycle, state)
    training = loop.train_epoch(state.diffusion, models.of_diffusion, made.dataset, models.objective, models.worker)
    state.diffusion.epoch += 1
    if place.cycle:
        state.account["diffusion"] = made.account
        training |= counts_of(made.account)
    return {**training, names.COTRAINING_CYCLE: place.cycle, **models.evaluate(state, "diffusion")}


def fit_physical(state: State, models: Models, place: Place) -> dict[str, float]:
    """Fit the physical model to real movements; in a cycle refit it on real and generated ones, and decide the cycle.

    Raises:
        TrainingDivergedError: the loss of a movement is NaN or infinite.
    """
    cycle, config, fitted = place.cycle, models.config, models.fitted
    metrics: dict[str, float] = {names.COTRAINING_CYCLE: cycle}
    if cycle == 0:
        for _ in range(config.fit_epochs):
            state.physical = next_state(state.physical, fitted, config.fit.iterations)
        state.components = population_components(state.physical, fitted)
        metrics |= models.evaluate(state, "physical")
    else:
        real, before = fitted.movements, Version.of(state)
        count = exchanged_count(config, len(real))
        exchange = exchanged(models.diffusion(state), "diffusion", real, count, config, cycle)
        weights = weights_of(config, len(real), count)
        item = SequenceDataset(real.take(torch.arange(1)), models.splits.statistics)[0]
        account = exchange.account(balance_of(config, len(real), len(exchange.movements), weights, item), len(real))
        state.physical, state.components = refit(state.physical, fitted, exchange, weights, config, cycle)
        state.account["physical"] = account
        metrics |= {**counts_of(account), **models.evaluate(state, "physical")}
        metrics |= settle(state, before, config, cycle, models.worker)
    return {**metrics, **fit_metrics(quality_of(state.physical, fitted), state.physical.optimised.strokes.count)}


def counts_of(account: Mapping[str, Any]) -> dict[str, float]:
    """Return the counts of a balance as metrics."""
    return {names.TRAIN_REAL: account["real"], names.TRAIN_GENERATED: account["generated"]}


def epoch_of(state: State, models: Models, training: dict[str, float]) -> Epoch:
    """Return an epoch with the metrics of the model that a checkpoint samples from; the first worker alone has any."""
    metrics: dict[str, float] = {names.EPOCH: state.epoch, names.TRAIN_STEPS: state.diffusion.step, **training}
    if models.worker.rank:
        return Epoch(state.epoch, metrics, lambda folder: None)
    side = better_side(state.evaluations, models.config.samples_from)
    metrics |= state.evaluations[side].metrics
    for name, found in state.evaluations.items():
        if found.headline is not None:
            metrics[names.headline_of(name)] = found.headline.value
    plots = partial(_plots, state, models, side)
    return Epoch(
        state.epoch, metrics, lambda folder: save_state(state, side, models.config, models.splits, folder), plots
    )


def _plots(state: State, models: Models, side: str) -> Mapping[str, Any]:
    held_out, seed = models.validator.held_out, models.config.evaluation.sampling_seed
    return training_plots(models.validator, models.sampler(state, side).sample_matching(held_out, seed=seed))
