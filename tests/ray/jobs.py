"""Real runs that take seconds."""

from pathlib import Path
from typing import Any

from trainables.core.config import plain, with_values
from trainables.session import Job
from trainables.specs import TRAINABLES
from trainables.training.scaling import ScalingConfig

CPUS = 2

TINY: dict[str, dict[str, Any]] = {
    "diffusion": {
        "model.base_channels": 16,
        "steps_per_epoch": 18,
        "evaluation.movements": 100,
        "sampling.steps": 2,
        "evaluation.probes": ["features"],
    },
    "cotraining": {
        "model.base_channels": 16,
        "steps_per_epoch": 9,
        "evaluation.movements": 40,
        "sampling.steps": 2,
        "evaluation.probes": ["features"],
        "alpha": 0.05,
        "fit.movements": 60,
        "fit.iterations": 3,
        "patience": 0,
    },
    "detector": {
        "model.width": 8,
        "model.fused_width": 16,
        "steps_per_epoch": 12,
        "batch_size": 64,
        "negatives.alpha": 0.2,
        "optim.warmup_steps": 0,
    },
    "critic": {
        "model.depth": 4,
        "model.width": 32,
        "model.embedding_dim": 16,
        "steps_per_epoch": 12,
        "batch_size": 64,
        "evaluation.batches": 1,
        "optim.warmup_steps": 0,
    },
    "agent": {
        "model.width": 16,
        "model.embedding_dim": 8,
        "steps_per_epoch": 12,
        "batch_size": 64,
        "environment.max_steps": 40,
        "collection.copies": 64,
        "collection.capacity": 10_000,
        "evaluation.episodes": 32,
    },
}


def tiny_job(folder: Path, epochs: int, scaling: ScalingConfig, trainable: str = "diffusion", **values: Any) -> Job:
    """A real run that takes seconds."""
    config = with_values(plain(TRAINABLES[trainable].config()), {**TINY[trainable], "epochs": epochs, **values})
    return Job(trainable, config, scaling, str(folder / "groups"))
