"""The averaged network as it is during training: what samples with it, and its loss on held-out movements."""

from dataclasses import replace

import torch

from trainables.core.seeding import generator
from trainables.data.dataset import SequenceDataset
from trainables.data.splits.data_splits import DataSplits
from trainables.diffusion.api import Generator
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.motion import in_diffusion_space
from trainables.diffusion.noise.schedule import diffuse
from trainables.diffusion.objective import Objective, denoising_loss, sample_randomness, shard
from trainables.diffusion.state import State
from trainables.generation.conditions import conditions_of


def sampler_of(state: State, config: DiffusionConfig, splits: DataSplits, objective: Objective) -> Generator:
    """Return the generator with the averaged weights as they are now."""
    return Generator(
        state.ema.model,
        objective.schedule,
        splits.statistics,
        config.data.canonical,
        conditions_of(splits["train"]),
        state.autoencoder,
        objective.prediction,
        config.sampling,
        config.motion_channel,
    )


@torch.no_grad()
def validation_loss(
    state: State, config: DiffusionConfig, held_out: SequenceDataset, objective: Objective, device: torch.device
) -> float:
    """Denoising error of the averaged weights on held-out movements, same times and noise in every epoch and trial.

    With uniform times, without min-SNR weights and without estimates, so that it compares configurations that differ in
    them.
    """
    motion = held_out.statistics if config.motion_channel else None
    batch = in_diffusion_space(held_out[torch.arange(len(held_out))], state.autoencoder, motion)
    process = replace(config.diffusion, times="uniform")
    drawn = sample_randomness(batch, process, generator(config.evaluation.seed, "validation loss"))
    batch, drawn = shard(batch, drawn, 0, 1, device)
    alpha_t, sigma_t = objective.schedule.at(drawn.t)
    x_t = diffuse(batch.sequences.z, drawn.eps, alpha_t, sigma_t)
    target = objective.prediction.target(batch.sequences.z, drawn.eps, alpha_t, sigma_t)
    output = state.ema.model(x_t, drawn.t, batch.sequences.mask, batch.condition)
    return denoising_loss(target, output, batch.sequences.mask).mean().item()
