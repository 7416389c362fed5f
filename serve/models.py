"""The two kinds of models that the service knows: champions, which draw movements, and detectors, which judge them.

Neither takes its place before it has worked once: a champion draws two movements, a detector scores one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from serve.cards import detector_card, generator_card
from serve.champions import Champions
from serve.jobs import NoChampionError, NoDetectorError, ServeError
from trainables.data.canonical import Movements, encode
from trainables.detectors import FOLDER, MovementDetector, load_detector
from trainables.diffusion.sampling import SamplingChanges
from trainables.generators import ServedGenerator, load
from trainables.model_registry.registry import Published, Registry


@dataclass(frozen=True, eq=False)
class Champion:
    """A generator that was published, with its card."""

    id: str
    generator: ServedGenerator
    card: Mapping[str, Any]

    @property
    def weights_sha256(self) -> str:
        """Of the checkpoint."""
        return str(self.card["weights_sha256"])


@dataclass(frozen=True, eq=False)
class Judge:
    """A detector that was published, with its card."""

    id: str
    detector: MovementDetector
    card: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Models:
    """Everything that a process serves."""

    champions: Champions[Champion]
    detectors: Champions[Judge]

    @classmethod
    def below(cls, storage_path: str | Path) -> "Models":
        """Of a storage path; nothing is loaded before `champions.swap`."""
        champions = Champions(Registry.below(storage_path), load_champion, NoChampionError, "champion")
        return cls(champions, Champions(Registry.below(storage_path, FOLDER), load_judge, NoDetectorError, "detector"))

    def describe(self) -> dict[str, Any]:
        """Cards, and the last changes; see `Backend.describe`."""
        self.detectors.follow()
        champion, judge = self.champions.present, self.detectors.present
        return {
            "model": None if champion is None else dict(champion.card),
            "swap": vars(self.champions.swapped),
            "detector": None if judge is None else dict(judge.card),
            "detector_swap": vars(self.detectors.swapped),
        }


def load_champion(entry: Published) -> Champion:
    """The generator of an entry, after it has drawn two movements.

    Raises:
        CheckpointError, ConfigError, SamplingDivergedError: it cannot be loaded, or cannot draw.
        ServeError: what it draws is not finite.
    """
    generator = load(entry.checkpoint)
    conditions = generator.known.draw(2, 0)
    frame = conditions.frame(generator.canonical)
    z = generator.rows(conditions, frame, [(0, 0), (0, 1)], generator.sampling_with(SamplingChanges()))
    if not bool(torch.isfinite(generator.statistics.denormalise(z, frame)).all()):
        raise ServeError(f"{entry.id}: what it draws is not finite")
    return Champion(entry.id, generator, generator_card(entry, generator))


def load_judge(entry: Published) -> Judge:
    """The detector of an entry, after it has scored a movement.

    Raises:
        CheckpointError: it cannot be loaded.
        ServeError: its score is no probability.
    """
    detector = load_detector(entry.checkpoint)
    steps_px = torch.ones(1, 16, 2, dtype=torch.float64)
    straight = encode(Movements(steps_px, torch.tensor([16]), ("straight",)), detector.canonical)
    score = detector.score(straight)
    if score.shape != (1,) or not 0.0 <= float(score) <= 1.0:
        raise ServeError(f"{entry.id}: its score is no probability ({score.tolist()})")
    return Judge(entry.id, detector, detector_card(entry))
