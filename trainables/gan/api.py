"""Samples from a trained adversarial generator: conditions in, canonical movements out, in one network call.

The counterpart of `trainables.diffusion.api`: the same conditions, frames and standardisation, so that the two kinds
of generators are asked for the same movements and are judged alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.checkpoint import CheckpointError, load_checkpoint, select
from trainables.config import ConfigError, build, require
from trainables.data.canonical import RATE_HZ, Canonical, CanonicalConfig, with_deltas
from trainables.data.dataset import Statistics
from trainables.diffusion.api import CHUNK, Conditions, conditions_of
from trainables.gan.networks import GanModelConfig, MovementNetwork
from trainables.seeding import generator


@dataclass(frozen=True, eq=False)
class GanGenerator:
    """A generator network with everything that turns its output into movements."""

    model: nn.Module
    config: GanModelConfig
    statistics: Statistics
    canonical: CanonicalConfig
    known: Conditions

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.model.parameters()).device

    def like(self, real: Canonical, *, seed: int) -> Canonical:
        """One sample per movement of `real`, under its condition; groups are kept."""
        frame = with_deltas(real, torch.zeros_like(real.deltas))
        z = torch.cat([*self.stream(conditions_of(real), frame, seed=seed)])
        return with_deltas(frame, self.statistics.denormalise(z, frame))

    def draw_conditions(self, count: int, seed: int, longest: int | None = None) -> Conditions:
        """Conditions of training movements (of at most `longest` steps), drawn with replacement."""
        length = (self.known.raw[:, 0].exp() * RATE_HZ).round()
        rows = torch.arange(len(self.known)) if longest is None else (length <= longest).nonzero().squeeze(1)
        require(len(rows) > 0, "`seq_len >= the shortest known movement`", f"seq_len={longest}")
        chosen = rows[torch.randint(len(rows), (count,), generator=generator(seed, "conditions"))]
        return Conditions(self.known.raw[chosen], self.known.angle[chosen])

    def stream(self, conditions: Conditions, frame: Canonical, *, seed: int) -> Iterator[Float[Tensor, "M T C"]]:
        """Standardised samples chunk by chunk, zero under the mask; row i depends on (seed, i, condition i) alone."""
        self.model.eval()
        for first in range(0, len(conditions), CHUNK):
            rows = slice(first, first + CHUNK)
            mask = frame.mask[rows].to(self.device)
            condition = self.statistics.normalise_condition(conditions.raw[rows]).to(self.device)
            latent, noise = initial_noise(self.config, *mask.shape, seed, first)
            with torch.no_grad():
                z = self.model(latent.to(self.device), noise.to(self.device), mask, condition)
            yield z.cpu()


def initial_noise(
    config: GanModelConfig, count: int, steps: int, seed: int, first: int = 0
) -> tuple[Float[Tensor, "B L"], Float[Tensor, "B T K"]]:
    """Latent vectors and noise in which row i depends on (seed, first + i) alone."""
    streams = [generator(seed, "sample", first + row) for row in range(count)]
    latent = torch.stack([torch.randn(config.latent_dim, generator=random) for random in streams])
    noise = torch.stack([torch.randn(steps, config.noise_channels, generator=random) for random in streams])
    return latent, noise


def load_gan(checkpoint: Path, device: torch.device | str = "cpu") -> GanGenerator:
    """The averaged generator of an adversarial checkpoint, ready to sample.

    Raises:
        CheckpointError: not a whole checkpoint of a GAN, or its weights do not fit its own configuration.
    """
    tensors, record = load_checkpoint(checkpoint)
    if record.get("kind") != "gan":
        raise CheckpointError(f"{checkpoint}: a checkpoint of kind `gan` is needed, but got {record.get('kind')}")
    try:
        config = build(GanModelConfig, record["config"]["model"])
        statistics = Statistics(**select("statistics", tensors))
        model = MovementNetwork(len(statistics.mean), len(statistics.condition_mean), config)
        model.load_state_dict(select("ema", tensors))
        canonical = build(CanonicalConfig, record["config"]["data"]["canonical"])
        known = Conditions(tensors["known.raw"], tensors["known.angle"])
    except (KeyError, RuntimeError, TypeError, ConfigError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{checkpoint}: weights and configuration do not fit: {reason}") from None
    return GanGenerator(model.to(device).eval(), config, statistics, canonical, known)
