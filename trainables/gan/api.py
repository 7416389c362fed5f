"""Samples from a trained adversarial generator: conditions in, canonical movements out, in one network call.

The counterpart of `trainables.diffusion.api`: the same conditions, frames and standardisation, so that the two kinds
of generators are asked for the same movements and are judged alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from trainables.checkpoint import CheckpointError, load_checkpoint, select
from trainables.config import ConfigError, build
from trainables.data.canonical import Canonical, CanonicalConfig, with_deltas
from trainables.data.dataset import CONDITION_WIDTH, Statistics
from trainables.diffusion.api import WINDOW
from trainables.diffusion.conditions import Conditions, asked_like
from trainables.diffusion.samplers import row_noise
from trainables.diffusion.sampling import blocks
from trainables.gan.networks import GanModelConfig, MovementNetwork


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
        z = torch.cat([*self.stream(asked_like(real, self.known), frame, seed=seed)])
        return with_deltas(frame, self.statistics.denormalise(z, frame))

    def draw_conditions(self, count: int, seed: int, longest: int | None = None) -> Conditions:
        """Conditions of training movements (of at most `longest` steps), drawn with replacement."""
        return self.known.draw(count, seed, longest)

    def stream(
        self, conditions: Conditions, frame: Canonical, *, seed: int, first: int = 0
    ) -> Iterator[Float[Tensor, "M T C"]]:
        """Standardised samples, `WINDOW` rows at a time, zero under the mask.

        Row i is sample number first + i and depends on (seed, first + i, condition i) alone, up to rounding.
        """
        self.model.eval()
        padded = self.canonical.form.padded
        for rows in torch.arange(len(conditions)).split(WINDOW):
            mask, z = frame.mask[rows], torch.zeros(*frame.mask[rows].shape, len(self.statistics.mean))
            for block in blocks(mask, padded):
                chosen = rows[block.rows]
                sample = self._sample(block.mask_of(mask, padded), conditions.take(chosen), seed, chosen + first)
                z[block.rows[: block.real], : block.width] = sample[: block.real, : z.shape[1]]
            yield z

    @torch.no_grad()
    def _sample(
        self, mask: Bool[Tensor, "R W"], conditions: Conditions, seed: int, numbers: Int[Tensor, "R"]
    ) -> Float[Tensor, "R W C"]:
        """One call of the network, for the samples of these numbers."""
        order, config = numbers.tolist(), self.config
        latent = row_noise(order, 1, config.latent_dim, seed, "latent").squeeze(1)
        noise = row_noise(order, mask.shape[1], config.noise_channels, seed, "sample")
        condition = self.statistics.normalise_condition(conditions.raw)
        given = (part.to(self.device) for part in (latent, noise, mask, condition))
        z: Tensor = self.model(*given)
        return z.cpu()


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
        model = MovementNetwork(len(statistics.mean), CONDITION_WIDTH, config)
        model.load_state_dict(select("ema", tensors))
        canonical = build(CanonicalConfig, record["config"]["data"]["canonical"])
        known = Conditions.of_tensors(select("known", tensors))
    except (KeyError, RuntimeError, TypeError, ConfigError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{checkpoint}: weights and configuration do not fit: {reason}") from None
    return GanGenerator(model.to(device).eval(), config, statistics, canonical, known)
