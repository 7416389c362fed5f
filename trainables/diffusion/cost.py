"""What a run will cost on this machine, from a few real steps."""

import time
from collections.abc import Callable

import torch

from trainables.data.dataset import SequenceDataset, batches, load_parts
from trainables.diffusion.api import CHUNK
from trainables.diffusion.noise.schedule import SCHEDULES
from trainables.diffusion.objective import draw
from trainables.diffusion.train import DiffusionConfig, initial_state, optimise
from trainables.epoch import Cost, Worker
from trainables.seeding import generator

REPEATS = 3
PROBE_S = 0.6  # features, probe and MMD of one evaluation, beside the sampling


def measure(config: DiffusionConfig) -> Cost:
    """Time optimisation steps and network calls of this configuration with the torch threads that are set now."""
    parts = load_parts(config.data)
    dataset = SequenceDataset(parts["train"], parts.statistics)
    schedule = SCHEDULES[config.diffusion.schedule](config.diffusion.timesteps)
    state = initial_state(config, Worker())
    random = generator(config.seed, "cost")
    batch = next(batches(dataset, config.batch_size, random))
    drawn = draw(batch, len(schedule), config.diffusion.condition_dropout, random)
    step_s = seconds(lambda: optimise(state, config, batch, drawn, schedule, random))
    rows = dataset[torch.arange(min(CHUNK, len(dataset)))]
    with torch.no_grad():
        call_s = seconds(
            lambda: state.ema.model(
                rows.sequences.z, torch.zeros(len(rows.condition)), rows.sequences.mask, rows.condition
            )
        )
    samples = min(config.evaluation.movements, len(parts["validation"]))
    return Cost(
        step_s=step_s,
        steps_per_epoch=config.steps_per_epoch,
        evaluation_s=PROBE_S + call_s * config.evaluation.steps * samples / len(rows.condition),
        checkpoint_bytes=sum(4 * p.numel() * p.element_size() for p in state.model.parameters()),
    )


def seconds(action: Callable[[], object]) -> float:
    """Median seconds of a few runs after one that warms up."""
    action()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return sorted(times)[REPEATS // 2]
