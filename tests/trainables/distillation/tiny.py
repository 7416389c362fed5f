"""A teacher and a distillation that take seconds: few movements, a network of a few channels, two stages."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.diffusion.config import DiffusionConfig, ModelConfig, OptimConfig
from trainables.diffusion.loop import epochs
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.distillation.config import DistillConfig
from trainables.eval.generation.config import EvaluationConfig

EVALUATION = EvaluationConfig(movements=40, folds=2, probes=("features",))
TEACHER = DiffusionConfig(
    epochs=1,
    steps_per_epoch=40,
    batch_size=32,
    model=ModelConfig(base_channels=16, self_condition=True),
    optim=OptimConfig(lr=1e-2, warmup_steps=3),
    sampling=SamplingConfig(steps=2, align=False),  # samples of so little training are not to be stretched
    evaluation=EVALUATION,
)
TINY = DistillConfig(
    teacher_calls=4,
    calls=1,
    epochs=4,
    steps_per_epoch=12,
    batch_size=32,
    optim=OptimConfig(lr=2e-3, weight_decay=0.0, warmup_steps=2, ema_decay=0.9),
    evaluation=EVALUATION,
)  # epochs 1 and 2 of two calls, 3 and 4 of one
ROWS = 240


def few_everywhere() -> Iterator[DataSplits]:
    """Yield the default data with every sixth training movement, while every loop loads them."""
    splits = load_splits(TEACHER.data)
    rows = torch.arange(0, 6 * ROWS, 6)
    few = replace(splits, splits={**splits.splits, "train": splits["train"].take(rows)})
    with pytest.MonkeyPatch.context() as patch:
        for module in ("diffusion.loop", "distillation.train"):
            patch.setattr(f"trainables.{module}.load_splits", lambda _: few)
        yield few


def trained_teacher(folder: Path, config: DiffusionConfig = TEACHER) -> Path:
    """Train a teacher and return its checkpoint."""
    *_, last = epochs(config)
    last.save(folder)
    return folder
