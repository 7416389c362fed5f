"""Registries with small champions and detectors, for tests that need real ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from serve.models import Models
from trainables.core.config import plain
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.data.splits.loading import load_splits
from trainables.detector import state as detector_state
from trainables.detector.config import DetectorConfig, DetectorModelConfig
from trainables.detector.dataset.training_set import Scaling
from trainables.diffusion.api import load_generator
from trainables.diffusion.config import DiffusionConfig, ModelConfig, OptimConfig
from trainables.diffusion.loop import epochs
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.gan.config import GanConfig, GanModelConfig
from trainables.gan.state import initial_state, save_state
from trainables.generation.selection.config import RatioConfig
from trainables.generation.selection.fit import fit_selector
from trainables.model_registry.publisher import lock_registry
from trainables.model_registry.registry import Registry
from trainables.physical import state as physical_state
from trainables.physical.config import FitConfig, PhysicalConfig
from trainables.physical.train import next_state
from trainables.specs import TRAINABLES
from trainables.training.checkpoint import load_checkpoint, load_record, save_checkpoint
from trainables.training.worker import ALONE

DIFFUSION = DiffusionConfig(
    epochs=1,
    steps_per_epoch=6,
    batch_size=16,
    model=ModelConfig(base_channels=16),
    optim=OptimConfig(lr=1e-2, warmup_steps=0),
    sampling=SamplingConfig(steps=2),
    evaluation=EvaluationConfig(movements=40, folds=2, probes=("features",)),
)
GAN = GanConfig(model=GanModelConfig(widths=(8, 12), latent_dim=4, noise_channels=2, embedding_dim=16))
PHYSICAL = PhysicalConfig(fit=FitConfig(movements=80, iterations=3))
DETECTOR = DetectorConfig(model=DetectorModelConfig(width=4, features_width=4, fused_width=8, embedding_dim=4))
DECISION = {
    "reason": "the first champion",
    "confidence_of_intervals": 0.9,
    "data": {"split": "holdout", "movements": 40, "groups": ["a", "b"], "data_sha256": "d" * 64},
    "figures": {
        "val/auc_excess": {
            "challenger": {"value": 0.1, "se": 0.01, "low": 0.08, "high": 0.12, "df": 1},
            "champion": None,
            "difference": None,
        },
        "val/prd_recall": {"challenger": None, "champion": None, "difference": None},
    },
}


def diffusion(folder: Path, seed: int = 0) -> Path:
    """Write a checkpoint of a briefly trained diffusion."""
    *_, last = epochs(replace(DIFFUSION, seed=seed))
    last.save(folder)
    return folder


RATIO = RatioConfig(movements=60, samples=1, trees=5, folds=2)
SELECTED_SOURCE = "sapimouse"


def with_selector(checkpoint: Path, config: RatioConfig = RATIO) -> Path:
    """Fit a small selector of one of its two sources into a checkpoint of a diffusion; return the checkpoint."""
    model, splits, record = load_generator(checkpoint), load_splits(DIFFUSION.data), load_record(checkpoint)
    made_with = {
        "generator_sha256": record["weights_sha256"],
        "data_sha256": splits.sha256,
        "sampling": plain(model.sampling),
    }
    fit_selector(model, splits["train"], [SELECTED_SOURCE], config, made_with).save(checkpoint)
    return checkpoint


def gan(folder: Path) -> Path:
    """Write a checkpoint of an untrained GAN."""
    splits = load_splits(GAN.data)
    save_state(initial_state(GAN, splits.statistics, ALONE), GAN, splits, folder)
    return folder


def physical(folder: Path, config: PhysicalConfig = PHYSICAL) -> Path:
    """Write a checkpoint of strokes that were fitted to a few movements."""
    splits = load_splits(config.data)
    fitted = physical_state.FittedMovements.of(splits["train"], config)
    state = next_state(physical_state.State.initial(fitted), fitted, config.fit.iterations)
    components = physical_state.population_components(state, fitted)
    physical_state.save_state(state, components, config, splits, folder)
    return folder


def network(folder: Path) -> Path:
    """Write a checkpoint of an untrained detector."""
    splits = load_splits(DETECTOR.data)
    state = detector_state.initial_state(DETECTOR, len(splits.statistics.mean), ALONE)
    detector_state.save_state(state, DETECTOR, splits, Scaling.fit(splits), {"temperature": 1.0}, folder)
    return folder


def altered(checkpoint: Path, folder: Path, change: Callable[[Tensor], Tensor]) -> Path:
    """Write a copy of a checkpoint with changed EMA weights."""
    tensors, record = load_checkpoint(checkpoint)
    changed = {name: change(t) if name.startswith("ema.") else t for name, t in tensors.items()}
    save_checkpoint(folder, changed, record)
    return folder


def publish(registry: Registry, checkpoint: Path, decision: Mapping[str, Any] = DECISION) -> str:
    """Publish a checkpoint as champion; return its id."""
    with lock_registry(registry) as publisher:
        return publisher.publish(checkpoint, decision).id


def serving(storage: Path, *checkpoints: Path) -> tuple[Models, list[str]]:
    """Publish checkpoints, the last as champion; return the loaded models and the ids."""
    ids = [publish(Registry.below(storage), checkpoint) for checkpoint in checkpoints]
    models = Models.below(storage)
    assert models.champions.swap()
    return models, ids


@dataclass(frozen=True)
class Straightness:
    """Detector that takes straight movements for bots: the score is distance over path, to some power.

    Attributes:
        power: Power of the score; a negative one makes it a detector that does not work.
    """

    power: float = 1.0
    canonical: CanonicalConfig = field(default_factory=CanonicalConfig)

    def score(self, canonical: Canonical) -> Tensor:
        """Return the probability of a bot."""
        path: Tensor = canonical.deltas[..., :2].norm(dim=-1).sum(dim=1)
        return path.clamp(min=1.0).reciprocal() ** self.power if self.power >= 0 else path * torch.nan


KIND = "straightness"


def load_straightness(checkpoint: Path, device: torch.device | str) -> Straightness:
    """Load the detector of a checkpoint."""
    tensors, _ = load_checkpoint(checkpoint)
    return Straightness(float(tensors["power"]))


STRAIGHTNESS = replace(TRAINABLES["detector"], name=KIND).with_parts(load_model=load_straightness)
"""The trainable that such a detector would come from."""


def detector(storage: Path, folder: Path, power: float = 1.0) -> str:
    """Publish a detector and return its id; a negative power makes one that does not work."""
    save_checkpoint(folder, {"power": torch.tensor(power)}, {"kind": KIND})
    return publish(Registry.below(storage, TRAINABLES["detector"].model_type.registry), folder, {"reason": "a test"})
