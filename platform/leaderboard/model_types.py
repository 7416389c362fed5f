"""What needs code of its own by kind of trainable: a reference of real people, pictures of the best, its champions.

What is only told differently stands in the table of `trainables.training.headline_metrics`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from platform.leaderboard.finalists import VALIDATION
from platform.leaderboard.leaderboard import Reference, intervals
from trainables import detectors, generators
from trainables.core.config import build
from trainables.data.canonical import Canonical, reobserve
from trainables.data.dataset import load_splits
from trainables.detector.api import load_trained_detector
from trainables.detector.config import DetectorConfig
from trainables.detector.evaluation.plots import plot_overview
from trainables.eval.generation.plots import plot_gallery, plot_overlays
from trainables.eval.generation.validator import Validator
from trainables.model_evaluation import EvaluationResult
from trainables.model_evaluation.detector import scores_on
from trainables.model_evaluation.generator import validator_of
from trainables.model_registry import registry
from trainables.training.checkpoint import load_record


@dataclass(frozen=True)
class Kind:
    """What one kind of trainable brings with it.

    Attributes:
        reference: What real people score under a configuration; None where people cannot take the model's place.
        draw: Pictures of a checkpoint in a folder, beside how it was judged again, if it was.
        working: What a checkpoint does with movements, to be timed.
        registry: The folder of its champions below a storage path.
    """

    reference: Callable[[Any], Reference] | None
    draw: Callable[[Path, Any, EvaluationResult | None, Path], None]
    working: Callable[[Path], Callable[[Canonical], object]]
    registry: str


def people(config: Any) -> Reference:
    """Real people against each other, and training people against held-out ones."""
    validator = _validator(config)
    return Reference(validator.floor(), validator.c2st_against(load_splits(config.data)["train"]))


def draw_samples(checkpoint: Path, config: Any, judgement: EvaluationResult | None, pictures: Path) -> None:
    """Gallery and overlays of samples, made as they were judged in training."""
    validator = _validator(config)
    samples = generators.load(checkpoint).like(validator.held_out, seed=validator.config.seed)
    observed, rows = reobserve(samples, validator.canonical)
    plot_gallery(validator.observed.take(rows), observed, pictures / "gallery.png")
    plot_overlays(validator.observed, observed, pictures / "features.png")


def _validator(config: Any) -> Validator:
    return validator_of(config.data, VALIDATION, config.evaluation)


def draw_scores(checkpoint: Path, config: Any, judgement: EvaluationResult | None, pictures: Path) -> None:
    """What a detector says of people and of the bots that it met in training, with intervals where judged again."""
    own = build(DetectorConfig, load_record(checkpoint)["config"])
    scores = scores_on(load_trained_detector(checkpoint), own, VALIDATION, own.judgement.seed)
    bots = {family: told.flatten() for family, told in scores.bots.items()}
    plot_overview(scores.human, bots, scores.unseen, scores.fpr, intervals(judgement), pictures / "detection.png")


def sampling(checkpoint: Path) -> Callable[[Canonical], object]:
    """Samples under the conditions of movements."""
    return partial(generators.load(checkpoint).like, seed=0)


def scoring(checkpoint: Path) -> Callable[[Canonical], object]:
    """Scores of movements."""
    return detectors.load_detector(checkpoint).score


GENERATOR = Kind(people, draw_samples, sampling, registry.FOLDER)
DETECTOR = Kind(None, draw_scores, scoring, detectors.FOLDER)
KINDS: Mapping[str, Kind] = {"diffusion": GENERATOR, "gan": GENERATOR, "detector": DETECTOR}
"""Name of a trainable -> what it brings; those that can be judged again."""
