"""Real diffusion runs that take seconds."""

from pathlib import Path
from typing import Any

from trainables.config import plain, with_values
from trainables.diffusion.config import DiffusionConfig
from trainables.session import Job, ScalingConfig

CPUS = 2

TINY = {
    "model.base_channels": 16,
    "steps_per_epoch": 18,
    "evaluation.movements": 100,
    "sampling.steps": 2,
    "evaluation.probe": "logistic",
}


def tiny_job(folder: Path, epochs: int, scaling: ScalingConfig, **values: Any) -> Job:
    """A real diffusion run that takes seconds."""
    config = with_values(plain(DiffusionConfig()), {**TINY, "epochs": epochs, **values})
    return Job("diffusion", config, scaling, str(folder / "groups"))
