"""Load trained models behind the protocol of their type, whichever trainable made them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.data.splits.statistics import Statistics
from trainables.detector.spec import DETECTOR
from trainables.diffusion.sampling_config import SamplingChanges, SamplingConfig
from trainables.generation.conditions import Conditions
from trainables.generation.model_type import GENERATOR
from trainables.specs import TRAINABLES
from trainables.training.checkpoint import CheckpointError, load_record
from trainables.training.trainable import ModelType


@runtime_checkable
class MovementGenerator(Protocol):
    """Canonical movements under given conditions; row i depends on (seed, i, condition i) alone."""

    @property
    def canonical(self) -> CanonicalConfig:
        """The form of the movements."""

    def sample_matching(self, real: Canonical, *, seed: int) -> Canonical:
        """One sample per movement of `real`, under its condition; groups are kept."""


@runtime_checkable
class ServedGenerator(MovementGenerator, Protocol):
    """A generator whose rows can be computed together with those of other requests."""

    @property
    def statistics(self) -> Statistics:
        """Return the statistics of the standardisation."""

    @property
    def training_conditions(self) -> Conditions:
        """The conditions of the training movements."""

    @property
    def model(self) -> nn.Module:
        """The network that is called."""

    @property
    def batch_invariant(self) -> bool:
        """Whether no bit of a row depends on what is computed together with it."""

    def canonical_at(self, sequence_length: int) -> CanonicalConfig:
        """The canonical form at another length T; ConfigError where the form has none."""

    def sampling_with(self, changes: SamplingChanges) -> SamplingConfig | None:
        """Return the sampling with these changes, None where it has no settings; ConfigError out of bounds."""

    def require_selectable(self, conditions: Conditions, sampling: SamplingConfig | None = None) -> None:
        """Raise ConfigError where several candidates are asked for and a row is of a source without a ratio."""

    def rows(
        self,
        conditions: Conditions,
        frame: Canonical,
        keys: Sequence[tuple[int, int]],
        sampling: SamplingConfig | None = None,
    ) -> Float[Tensor, "N T C"]:
        """Standardised samples, zero under the mask; row i depends on its key (seed, number) and condition alone."""


@runtime_checkable
class MovementDetector(Protocol):
    """Scores movements as human or bot; row i depends on movement i alone."""

    @property
    def canonical(self) -> CanonicalConfig:
        """The form of the movements that it takes."""

    def score(self, canonical: Canonical) -> Float[Tensor, "N"]:
        """Probability of a bot for each movement, in float64."""


def load_generator(checkpoint: Path, device: torch.device | str = "cpu") -> ServedGenerator:
    """Return the generator of a checkpoint.

    Raises:
        CheckpointError: the checkpoint cannot be read, is damaged, or holds no generator.
    """
    generator: ServedGenerator = _load(checkpoint, device, GENERATOR)
    return generator


def load_detector(checkpoint: Path, device: torch.device | str = "cpu") -> MovementDetector:
    """Return the detector of a checkpoint.

    Raises:
        CheckpointError: the checkpoint cannot be read, is damaged, or holds no detector.
    """
    detector: MovementDetector = _load(checkpoint, device, DETECTOR)
    return detector


def _load(checkpoint: Path, device: torch.device | str, model_type: ModelType) -> Any:
    known = {name: spec for name, spec in TRAINABLES.items() if spec.model_type == model_type}
    kind = load_record(checkpoint).get("kind")
    if kind not in known:
        names = " or ".join(f"`{name}`" for name in known)
        raise CheckpointError(f"{checkpoint}: expected a checkpoint of a {model_type.name} ({names}), but got {kind}")
    return known[kind].load().load_model(checkpoint, device)
