"""Generators of movements by the kind of their checkpoint: whoever samples or judges need not know what they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from trainables.checkpoint import CheckpointError, load_record
from trainables.data.canonical import Canonical, CanonicalConfig
from trainables.diffusion.api import load_generator
from trainables.gan.api import load_gan


@runtime_checkable
class MovementGenerator(Protocol):
    """Canonical movements under asked conditions; row i depends on (seed, i, condition i) alone."""

    @property
    def canonical(self) -> CanonicalConfig:
        """The form of the movements."""

    def like(self, real: Canonical, *, seed: int) -> Canonical:
        """One sample per movement of `real`, under its condition; groups are kept."""


LOADERS: dict[str, Callable[[Path, torch.device | str], MovementGenerator]] = {
    "diffusion": load_generator,
    "gan": load_gan,
}


def load(checkpoint: Path, device: torch.device | str = "cpu") -> MovementGenerator:
    """The generator of a checkpoint, of whatever kind.

    Raises:
        CheckpointError: the checkpoint cannot be read, is damaged, or holds no generator.
    """
    kind = load_record(checkpoint).get("kind")
    if kind not in LOADERS:
        known = " or ".join(f"`{name}`" for name in LOADERS)
        raise CheckpointError(f"{checkpoint}: a checkpoint of kind {known} is needed, but got {kind}")
    return LOADERS[kind](checkpoint, device)
