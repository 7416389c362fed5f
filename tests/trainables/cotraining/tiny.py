"""A co-training that takes seconds: 240 training movements, one cycle, and a network of a few steps."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from trainables.cotraining.config import CotrainingConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.diffusion.config import ModelConfig, OptimConfig
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.physical.config import FitConfig

TINY = CotrainingConfig(
    alpha=0.05,
    epochs=5,
    cycles=1,
    epochs_per_cycle=2,
    fit_epochs=1,
    steps_per_epoch=3,
    batch_size=16,
    model=ModelConfig(base_channels=16),
    optim=OptimConfig(lr=1e-2, warmup_steps=3),
    sampling=SamplingConfig(steps=2),
    fit=FitConfig(movements=60, iterations=3),
    evaluation=EvaluationConfig(movements=40, folds=2, probes=("features",)),
)
WARM, INSIDE, LAST = 2, 3, 5  # the last epoch of the warm-up, one inside the cycle, and its end
ROWS = 240


def few() -> DataSplits:
    """Return the default data with every sixth training movement."""
    splits = load_splits(TINY.data)
    rows = torch.arange(0, 6 * ROWS, 6)
    return replace(splits, splits={**splits.splits, "train": splits["train"].take(rows)})


def few_everywhere() -> Iterator[DataSplits]:
    """Yield few movements while every loop loads them."""
    splits = few()
    with pytest.MonkeyPatch.context() as patch:
        for module in ("cotraining.models", "diffusion.loop", "physical.train"):
            patch.setattr(f"trainables.{module}.load_splits", lambda _: splits)
        yield splits
