"""Detectors of bots by the kind of their checkpoint: whoever scores movements need not know what judges them."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.detector.api import load_trained_detector
from trainables.training.checkpoint import CheckpointError, load_record

FOLDER = "registry-detector"  # their registry below a storage path


@runtime_checkable
class MovementDetector(Protocol):
    """Tells bots from people by their movements; row i depends on movement i alone."""

    @property
    def canonical(self) -> CanonicalConfig:
        """The form of the movements that it takes."""

    def score(self, canonical: Canonical) -> Float[Tensor, "N"]:
        """Probability of a bot for each movement, in float64."""


LOADERS: dict[str, Callable[[Path, torch.device | str], MovementDetector]] = {"detector": load_trained_detector}


def load_detector(checkpoint: Path, device: torch.device | str = "cpu") -> MovementDetector:
    """The detector of a checkpoint, of whatever kind.

    Raises:
        CheckpointError: the checkpoint cannot be read, is damaged, or holds no detector.
    """
    kind = load_record(checkpoint).get("kind")
    if kind not in LOADERS:
        known = " or ".join(f"`{name}`" for name in LOADERS)
        raise CheckpointError(f"{checkpoint}: expected a checkpoint of a detector ({known}), but got {kind}")
    return LOADERS[kind](checkpoint, device)
