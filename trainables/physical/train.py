"""The physical trainable: strokes are fitted to the training movements, epoch by epoch, and a population to them.

Epoch 0 has the initial values of the greedy extraction, each later one `fit.iterations` more steps of the joint
optimisation. The population of every epoch is evaluated as the other generators are.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.eval.generation.training_plots import training_plots
from trainables.eval.generation.validator import Validator
from trainables.generation.conditions import conditions_of
from trainables.physical.api import PhysicalGenerator
from trainables.physical.config import PhysicalConfig
from trainables.physical.fit import refined
from trainables.physical.fit_report import fit_metrics
from trainables.physical.population import Population
from trainables.physical.state import (
    FittedMovements,
    State,
    population_components,
    quality_of,
    restored_state,
    save_state,
)
from trainables.training import metric_names as names
from trainables.training.trainable import Epoch, TrainingDivergedError
from trainables.training.worker import ALONE, Worker


def epochs(config: PhysicalConfig, *, resume: Path | None = None, worker: Worker = ALONE) -> Iterator[Epoch]:
    """Fit and yield the state after every epoch, beginning with the initial values (epoch 0).

    Every worker fits all movements, which takes seconds; the first one evaluates.

    Args:
        resume: A checkpoint folder of the same configuration; the first epoch yielded is the one after it.

    Raises:
        ConfigError, RecordingError: wrong configuration or data, before any fit, or fewer than two movements that
            strokes fit.
        CheckpointError: `resume` is unreadable or belongs to another configuration or data set.
        TrainingDivergedError: a loss that is not finite.
    """
    splits = load_splits(config.data)
    fitted = FittedMovements.of(splits["train"], config)
    validator = Validator.fit(splits["validation"], splits["train"], config.data.canonical, config.evaluation)
    if resume is not None:
        state = restored_state(config, splits, resume)
    else:
        began = time.perf_counter()
        state = State.initial(fitted)
        yield _evaluate(state, config, splits, fitted, validator, _seconds(began), worker)
    while state.epoch < config.epochs:
        began = time.perf_counter()
        state = next_state(state, fitted, config.fit.iterations)
        yield _evaluate(state, config, splits, fitted, validator, _seconds(began), worker)


def next_state(state: State, fitted: FittedMovements, iterations: int) -> State:
    """Return the state after one more epoch.

    Raises:
        TrainingDivergedError: the loss of a movement is NaN or infinite.
    """
    found = refined(state.optimised, fitted.trajectories, fitted.form, iterations)
    broken = (~found.loss.isfinite()).nonzero().squeeze(1).tolist()
    if broken:
        row = int(fitted.rows[broken[0]])
        law = f"the loss of {len(broken)} movements is not finite in epoch {state.epoch + 1}, first of row {row}"
        raise TrainingDivergedError(f"{law} of {fitted.origin}; inspect this movement, or choose another fit.form")
    return replace(state, optimised=found, epoch=state.epoch + 1)


def _seconds(began: float) -> dict[str, float]:
    return {names.TRAIN_SECONDS: time.perf_counter() - began}


def _evaluate(
    state: State,
    config: PhysicalConfig,
    splits: DataSplits,
    fitted: FittedMovements,
    validator: Validator,
    timing: Mapping[str, float],
    worker: Worker,
) -> Epoch:
    """Fit the population and evaluate it with the same randomness in every epoch and trial."""
    metrics: dict[str, float] = {names.EPOCH: state.epoch, names.TRAIN_STEPS: state.epoch * config.fit.iterations}
    metrics |= {**timing, **fit_metrics(quality_of(state, fitted), state.optimised.strokes.count)}
    components, plots = population_components(state, fitted), None
    population = Population.of(fitted.form, config.population, components)
    if worker.rank == 0:
        began = time.perf_counter()
        known = conditions_of(splits["train"])
        sampler = PhysicalGenerator(population, splits.statistics, config.data.canonical, known)
        fake = sampler.sample_matching(validator.held_out, seed=config.evaluation.sampling_seed)
        metrics |= validator(fake)
        plots = partial(training_plots, validator, fake)
        metrics[names.VAL_SECONDS] = time.perf_counter() - began
        metrics[names.PARAMETERS] = float(sum(part.numel() for part in components.parameters()))
    return Epoch(state.epoch, metrics, lambda folder: save_state(state, components, config, splits, folder), plots)
