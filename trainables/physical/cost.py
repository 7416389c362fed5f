"""Measure what a fit will cost on this machine, from a few real steps."""

import torch

from trainables.data.splits.loading import load_splits
from trainables.generation.conditions import conditions_of
from trainables.physical.api import PhysicalGenerator
from trainables.physical.config import PhysicalConfig
from trainables.physical.fit import BATCH, extracted, refined
from trainables.physical.population import Population
from trainables.physical.state import FittedMovements, State, population_components
from trainables.training.timing import PROBE_S, seconds
from trainables.training.trainable import Cost

SAMPLED = 16


def measure(config: PhysicalConfig) -> Cost:
    """Time steps of the fit and samples of this configuration with the torch threads that are set now."""
    splits = load_splits(config.data)
    fitted = FittedMovements.of(splits["train"], config)
    few = fitted.trajectories.take(torch.arange(min(BATCH, len(fitted.rows))))
    start = extracted(few, fitted.form)
    batch_s = seconds(lambda: refined(start, few, fitted.form, 1))
    state = State.initial(fitted)
    components = population_components(state, fitted)
    known = conditions_of(splits["train"])
    population = Population.of(fitted.form, config.population, components)
    sampler = PhysicalGenerator(population, splits.statistics, config.data.canonical, known)
    rows = splits["train"].take(torch.arange(min(SAMPLED, len(splits["train"]))))
    sample_s = seconds(lambda: sampler.sample_matching(rows, seed=0)) / len(rows)
    stored = (*state.tensors().values(), *components.state_dict().values())
    return Cost(
        step_s=batch_s * len(fitted.rows) / len(few),
        steps_per_epoch=config.fit.iterations,
        evaluation_s=PROBE_S + sample_s * min(config.evaluation.movements, len(splits["validation"])),
        checkpoint_bytes=sum(part.numel() * part.element_size() for part in stored),
    )
