"""Measure what a run will cost on this machine, from a few real steps."""

import torch

from trainables.augmentation.training_set import first_part
from trainables.core.seeding import generator
from trainables.data.dataset import SequenceDataset, batches
from trainables.data.splits.loading import load_splits
from trainables.diffusion.api import CHUNK
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.loop import optimise
from trainables.diffusion.motion import in_diffusion_space
from trainables.diffusion.objective import Objective, sample_randomness
from trainables.diffusion.ranking_term import condition_queue, draw_negatives
from trainables.diffusion.state import initial_state
from trainables.training.timing import PROBE_S, seconds
from trainables.training.trainable import Cost
from trainables.training.worker import Worker


def measure(config: DiffusionConfig) -> Cost:
    """Time optimisation steps and network calls of this configuration with the torch threads that are set now."""
    splits = load_splits(config.data).with_ends(config.motion_ends)
    motion = splits.statistics if config.motion_channel else None
    dataset = SequenceDataset(first_part(splits["train"]), splits.statistics)
    objective = Objective.of(config.diffusion)
    state = initial_state(config, Worker(), splits.statistics.condition_width)
    random = generator(config.seed, "cost")
    batch = next(batches(lambda _: (dataset,), config.batch_size, random))
    batch = in_diffusion_space(batch, state.autoencoder, motion)
    drawn = sample_randomness(batch, config.diffusion, random, estimates=config.model.self_condition)
    queue = condition_queue(config.contrastive, batch.condition.shape[1])
    negatives = draw_negatives(batch.condition, config.contrastive, random, queue)
    step_s = seconds(lambda: optimise(state, config, batch, drawn._replace(negatives=negatives), objective))
    rows = in_diffusion_space(dataset[torch.arange(min(CHUNK, len(dataset)))], state.autoencoder, motion)
    with torch.no_grad():
        call_s = seconds(
            lambda: state.ema.model(
                rows.sequences.z, torch.zeros(len(rows.condition)), rows.sequences.mask, rows.condition
            )
        )
    samples = min(config.evaluation.movements, len(splits["validation"]))
    return Cost(
        step_s=step_s,
        steps_per_epoch=config.steps_per_epoch,
        evaluation_s=PROBE_S + call_s * config.sampling.steps * samples / len(rows.condition),
        checkpoint_bytes=sum(4 * p.numel() * p.element_size() for p in state.model.parameters()),
    )
