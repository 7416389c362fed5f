"""Samples from a trained adversarial generator: conditions in, canonical movements out, in one network call.

The counterpart of `trainables.diffusion.api`: the same conditions, frames and standardisation, so that the two kinds
of generators sample under the same conditions and are evaluated alike.

The last bits of a row depend on how many share its network call, and at which place it stands there. So every call is
of `SLOTS` rows, and sample number k stands at place k mod `SLOTS`, whatever stands at the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.core.config import build, require
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.data.splits.statistics import Statistics
from trainables.diffusion.sampling_config import SamplingChanges, SamplingConfig
from trainables.gan.config import GanModelConfig
from trainables.gan.networks import MovementNetwork
from trainables.generation.blocks import Block, blocks
from trainables.generation.conditions import Conditions, restored
from trainables.generation.direct_sampling import DirectSampling
from trainables.generation.keyed_noise import keyed_noise
from trainables.training.checkpoint import load_checkpoint_of, select, weights_that_fit

SLOTS = 32  # rows of a network call


@dataclass(frozen=True, eq=False)
class GanGenerator(DirectSampling):
    """A generator network with everything that turns its output into movements."""

    about_sampling: ClassVar[str] = "One network call per sample; there is nothing to choose, and no chord alignment."
    model: nn.Module
    config: GanModelConfig
    statistics: Statistics
    canonical: CanonicalConfig
    training_conditions: Conditions

    @property
    def device(self) -> torch.device:
        """Return the device of the network."""
        return next(self.model.parameters()).device

    def sampling_with(self, changes: SamplingChanges) -> None:
        """There is nothing to choose: a sample is one network call.

        Raises:
            ConfigError: something was chosen.
        """
        chosen = ", ".join(f"{name}={value}" for name, value in vars(changes).items() if value is not None)
        require(not chosen, "no sampler for a GAN, which samples in one network call", chosen, "leave it out")

    @property
    def batch_invariant(self) -> bool:
        """Whether no bit of a row depends on what is computed together with it: on CPUs alone."""
        return self.device.type == "cpu"

    def rows(
        self,
        conditions: Conditions,
        frame: Canonical,
        keys: Sequence[tuple[int, int]],
        sampling: SamplingConfig | None = None,
    ) -> Float[Tensor, "N T C"]:
        """Standardised samples, zero under the mask; row i depends on its key (seed, number) and condition alone.

        `sampling` is None: see `sampling_with`.
        """
        assert sampling is None
        self.model.eval()
        padded = self.canonical.form.padded
        slot = torch.tensor([number % SLOTS for _, number in keys], dtype=torch.int64)
        z = torch.zeros(*frame.mask.shape, len(self.statistics.mean))
        for block in blocks(frame.mask, padded):
            for rows in turns(block.rows[: block.real], slot):
                filled = rows[:1].repeat(SLOTS).scatter(0, slot[rows], rows)
                mask = Block(filled, SLOTS, block.width).mask_of(frame.mask, padded)
                sample = self._sample(mask, conditions.take(filled), [keys[row] for row in filled.tolist()])
                z[rows, : block.width] = sample[slot[rows], : z.shape[1]]
        return z

    @torch.no_grad()
    def _sample(
        self, mask: Bool[Tensor, "R W"], conditions: Conditions, keys: Sequence[tuple[int, int]]
    ) -> Float[Tensor, "R W C"]:
        """One call of the network, for the samples of these keys."""
        config = self.config
        latent = keyed_noise(keys, 1, config.latent_dim, "latent").squeeze(1)
        noise = keyed_noise(keys, mask.shape[1], config.noise_channels, "sample")
        source = conditions.source_in(self.statistics.sources)
        condition = self.statistics.normalise_condition(conditions.raw, source, conditions.angle, conditions.ends)
        given = (part.to(self.device) for part in (latent, noise, mask, condition))
        z: Tensor = self.model(*given)
        return z.cpu()


def turns(rows: Int[Tensor, "M"], slot: Int[Tensor, "N"]) -> Iterator[Int[Tensor, "K"]]:
    """The rows parted so that no two of a part have the same slot: the first of each slot, the second ones, ..."""
    before = F.one_hot(slot[rows], SLOTS).cumsum(dim=0).gather(1, slot[rows, None]).squeeze(1)
    for turn in range(1, int(before.max()) + 1):
        yield rows[before == turn]


def load_gan(checkpoint: Path, device: torch.device | str = "cpu") -> GanGenerator:
    """The averaged generator of an adversarial checkpoint, ready to sample.

    Raises:
        CheckpointError: not a whole checkpoint of a GAN, or its weights do not fit its own configuration.
    """
    tensors, record = load_checkpoint_of("gan", checkpoint)
    with weights_that_fit(checkpoint):
        config = build(GanModelConfig, record["config"]["model"])
        statistics, known = restored(tensors, record)
        model = MovementNetwork(len(statistics.mean), statistics.condition_width, config)
        model.load_state_dict(select("ema", tensors))
        canonical = build(CanonicalConfig, record["config"]["data"]["canonical"])
    return GanGenerator(model.to(device).eval(), config, statistics, canonical, known)
