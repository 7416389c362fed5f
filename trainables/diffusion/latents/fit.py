"""Training of the temporal autoencoder on standardised, companded sequences.

L = mean over the batch of mean_(T, C) |z - decode(mu + noise eps)|^2 + scale_weight mean_(T/4, Cz) |mu|^2, valid steps

This is the evidence bound of a variational autoencoder whose posterior N(mu, noise^2) has a fixed width: the Kullback-
Leibler term is then the mean square of mu up to a constant. A learned width buys nothing here, since what the diffusion
needs of it is that an error of its own size in a latent does not break the sequence, and that is stated by one number.

References: Auto-Encoding Variational Bayes (Kingma & Welling, 2014), eq. 10, arXiv:1312.6114.
"""

import math
from itertools import islice

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.core.seeding import derive, generator
from trainables.data.dataset import Batch, SequenceDataset, batches
from trainables.diffusion.latents.autoencoder import FACTOR, Autoencoder
from trainables.diffusion.latents.config import LatentConfig
from trainables.training.worker import ALONE, Worker

CHUNK = 512  # sequences encoded at once for the statistics


def fit_autoencoder(dataset: SequenceDataset, config: LatentConfig, seed: int, worker: Worker = ALONE) -> Autoencoder:
    """A trained autoencoder, frozen; the seed decides all of it, and every worker ends with the same one.

    Raises:
        ConfigError: fewer sequences than a batch, a loss that is not finite, or a latent channel that does not vary.
    """
    torch.manual_seed(derive(seed, "autoencoder weights"))
    autoencoder = Autoencoder(dataset.sequences.z.shape[2], config).to(worker.device)
    parallel = worker.wrap(autoencoder)
    optimizer = torch.optim.AdamW(autoencoder.parameters(), lr=config.lr, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    order, noise = generator(seed, "autoencoder order"), generator(seed, "autoencoder noise")
    for step, batch in enumerate(islice(batches(lambda _: (dataset,), config.batch_size, order), config.steps)):
        z, mask, eps = _shard(batch, config, noise, worker)
        reconstruction, codes = parallel(z, mask, eps)
        loss = autoencoder_loss(z, reconstruction, codes, mask, config.scale_weight)
        if not math.isfinite(loss.item()):
            raise ConfigError(f"the autoencoder's loss is {loss.item()} at step {step}; lower latent.lr={config.lr}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(autoencoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return standardise_latents(autoencoder, dataset).eval().requires_grad_(False)


def autoencoder_loss(
    z: Float[Tensor, "B T C"],
    reconstruction: Float[Tensor, "B T C"],
    codes: Float[Tensor, "B T4 Cz"],
    mask: Bool[Tensor, "B T"],
    scale_weight: float,
) -> Float[Tensor, ""]:
    """Mean over the batch of each row's squared error and, weighted, of its codes' mean square; codes are held."""
    steps = mask.sum(dim=1)
    error = ((z - reconstruction) * mask[..., None]).square().sum(dim=(1, 2)) / (steps * z.shape[2])
    size = codes.square().sum(dim=(1, 2)) / (torch.ceil(steps / FACTOR) * codes.shape[2])
    return (error + scale_weight * size).mean()


@torch.no_grad()
def standardise_latents(autoencoder: Autoencoder, dataset: SequenceDataset) -> Autoencoder:
    """Set mean and standard deviation of the latents to those of `dataset`, per channel over valid steps.

    Raises:
        ConfigError: a channel that does not vary.
    """
    device = autoencoder.mean.device
    autoencoder.mean.zero_()
    autoencoder.std.fill_(1.0)
    valid = []
    for rows in torch.arange(len(dataset)).split(CHUNK):
        z, mask = dataset[rows].sequences
        codes, coarse = autoencoder.encode(z.to(device), mask.to(device))
        valid.append(codes[coarse])
    std, mean = torch.std_mean(torch.cat(valid).double(), dim=0)
    if not bool((std > 0).all()):
        got = f"channel {int(std.argmin())} is constant"
        raise ConfigError(f"expected latent channels that vary, but {got}; lower latent.scale_weight or the noise")
    autoencoder.mean.copy_(mean)
    autoencoder.std.copy_(std)
    return autoencoder


def _shard(batch: Batch, config: LatentConfig, noise: torch.Generator, worker: Worker) -> tuple[Tensor, Tensor, Tensor]:
    """This worker's rows of a batch and of its disturbance, on its device."""
    z, mask = batch.sequences
    eps = config.noise * torch.randn(len(z), -(-z.shape[1] // FACTOR), config.channels, generator=noise)
    rows = slice(worker.rank, None, worker.world_size)
    return z[rows].to(worker.device), mask[rows].to(worker.device), eps[rows].to(worker.device)
