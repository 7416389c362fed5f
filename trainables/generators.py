"""Generators of movements by the kind of their checkpoint: whoever samples or judges need not know what they are."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.data.dataset import Statistics
from trainables.diffusion.api import load_generator
from trainables.diffusion.sampling_config import SamplingChanges, SamplingConfig
from trainables.gan.api import load_gan
from trainables.generation.conditions import Conditions
from trainables.training.checkpoint import CheckpointError, load_record


@runtime_checkable
class MovementGenerator(Protocol):
    """Canonical movements under asked conditions; row i depends on (seed, i, condition i) alone."""

    @property
    def canonical(self) -> CanonicalConfig:
        """The form of the movements."""

    def like(self, real: Canonical, *, seed: int) -> Canonical:
        """One sample per movement of `real`, under its condition; groups are kept."""


@runtime_checkable
class ServedGenerator(MovementGenerator, Protocol):
    """A generator whose rows can be computed together with those of other requests."""

    @property
    def statistics(self) -> Statistics:
        """Of the standardisation."""

    @property
    def known(self) -> Conditions:
        """The conditions of the training movements."""

    @property
    def model(self) -> nn.Module:
        """The network that is called."""

    @property
    def batch_invariant(self) -> bool:
        """Whether no bit of a row depends on what is computed together with it."""

    def form_of(self, sequence_length: int) -> CanonicalConfig:
        """The canonical form at another length T; ConfigError where the form has none."""

    def sampling_with(self, changes: SamplingChanges) -> SamplingConfig | None:
        """How to sample with these changes, None where nothing can be chosen; ConfigError if they break a law."""

    def rows(
        self,
        conditions: Conditions,
        frame: Canonical,
        keys: Sequence[tuple[int, int]],
        sampling: SamplingConfig | None = None,
    ) -> Float[Tensor, "N T C"]:
        """Standardised samples, zero under the mask; row i depends on its key (seed, number) and condition alone."""


LOADERS: dict[str, Callable[[Path, torch.device | str], ServedGenerator]] = {
    "diffusion": load_generator,
    "gan": load_gan,
}


def load(checkpoint: Path, device: torch.device | str = "cpu") -> ServedGenerator:
    """The generator of a checkpoint, of whatever kind.

    Raises:
        CheckpointError: the checkpoint cannot be read, is damaged, or holds no generator.
    """
    kind = load_record(checkpoint).get("kind")
    if kind not in LOADERS:
        known = " or ".join(f"`{name}`" for name in LOADERS)
        raise CheckpointError(f"{checkpoint}: expected a checkpoint of kind {known}, but got {kind}")
    return LOADERS[kind](checkpoint, device)
