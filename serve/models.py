"""Models that the service loads: champions, which sample movements, and detectors, which score them.

A model is tried before it becomes current: a champion samples two movements, a detector scores one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from serve.cards import detector_card, generator_card
from serve.champions import RegistryModels
from serve.jobs import NoChampionError, NoDetectorError, ServeError
from trainables.data.canonical import Movements, encode
from trainables.detector.spec import DETECTOR
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.model_registry.registry import Published, Registry
from trainables.models import MovementDetector, ServedGenerator, load_detector, load_generator


@dataclass(frozen=True, eq=False)
class Champion:
    """Published generator, with its model card."""

    id: str
    generator: ServedGenerator
    card: Mapping[str, Any]

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the checkpoint's weights."""
        return str(self.card["weights_sha256"])


@dataclass(frozen=True, eq=False)
class ServedDetector:
    """Published detector, with its model card."""

    id: str
    detector: MovementDetector
    card: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Models:
    """Generators and detectors of one process."""

    champions: RegistryModels[Champion]
    detectors: RegistryModels[ServedDetector]

    @classmethod
    def below(cls, storage_path: str | Path) -> "Models":
        """Return the models of a storage path; nothing is loaded before `champions.swap`."""
        generators, detectors = Registry.below(storage_path), Registry.below(storage_path, DETECTOR.registry)
        return cls(
            RegistryModels(generators, load_champion, NoChampionError, "champion"),
            RegistryModels(detectors, load_served_detector, NoDetectorError, "detector"),
        )

    def describe(self) -> dict[str, Any]:
        """Return the model cards and the last swaps; see `Backend.describe`."""
        self.detectors.follow()
        champion, detector = self.champions.current, self.detectors.current
        return {
            "model": None if champion is None else dict(champion.card),
            "swap": vars(self.champions.last_swap),
            "detector": None if detector is None else dict(detector.card),
            "detector_swap": vars(self.detectors.last_swap),
        }


def load_champion(entry: Published) -> Champion:
    """Load the generator of an entry, and sample two movements to check that it works.

    Raises:
        CheckpointError, ConfigError, SamplingDivergedError: it cannot be loaded, or cannot sample.
        ServeError: its samples are not finite.
    """
    generator = load_generator(entry.checkpoint)
    conditions = generator.training_conditions.draw(2, 0)
    frame = conditions.frame(generator.canonical)
    z = generator.rows(conditions, frame, [(0, 0), (0, 1)], generator.sampling_with(SamplingChanges()))
    if not bool(torch.isfinite(generator.statistics.denormalise(z, frame)).all()):
        raise ServeError(f"{entry.id}: its samples are not finite")
    return Champion(entry.id, generator, generator_card(entry, generator))


def load_served_detector(entry: Published) -> ServedDetector:
    """Load the detector of an entry, and score one movement to check that it works.

    Raises:
        CheckpointError: it cannot be loaded.
        ServeError: its score is not a probability.
    """
    detector = load_detector(entry.checkpoint)
    steps_px = torch.ones(1, 16, 2, dtype=torch.float64)
    straight = encode(Movements(steps_px, torch.tensor([16]), ("straight",)), detector.canonical)
    score = detector.score(straight)
    if score.shape != (1,) or not 0.0 <= float(score) <= 1.0:
        raise ServeError(f"{entry.id}: its score is not a probability ({score.tolist()})")
    return ServedDetector(entry.id, detector, detector_card(entry))
