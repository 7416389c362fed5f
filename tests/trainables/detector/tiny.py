"""Small detectors, and movements of users to train them on, for tests."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from trainables.data.canonical import TENSORS, Canonical
from trainables.data.config import DataConfig
from trainables.data.readers.recordings import read_recordings
from trainables.data.splits.assignment import split_of
from trainables.data.splits.loading import load_splits
from trainables.detector.config import DetectorConfig, DetectorModelConfig, NegativesConfig, OptimConfig
from trainables.training.checkpoint import load_checkpoint
from trainables.training.trainable import Epoch

Tensors = dict[str, Tensor]

MODEL = DetectorModelConfig(width=4, features_width=6, fused_width=8, embedding_dim=4)
TINY = DetectorConfig(
    epochs=2,
    steps_per_epoch=2,
    batch_size=16,
    negatives=NegativesConfig(alpha=0.1),
    model=MODEL,
    optim=OptimConfig(lr=1e-2, warmup_steps=0),
)


def few(file: Path, counts: Mapping[str, int]) -> DataConfig:
    """Write so many recordings of each default split into a table, since the cost of a run follows their number."""
    left, rows = Counter(counts), []
    for number, recording in enumerate(read_recordings("cursory").recordings):
        split, usable = split_of(recording.user), recording.t_ms[-1] - recording.t_ms[0] < 1000
        if usable and left[split] > 0:
            left[split] -= 1
            points = {"t_ms": recording.t_ms, "x": recording.x, "y": recording.y}
            rows.append({"user": recording.user, "session": str(number), **points})
    pd.DataFrame(rows).to_parquet(file, index=False)
    return DataConfig("table", str(file), rows_per_user=1000)


def human(count: int, split: str = "train") -> Canonical:
    """Return the first movements of a split of the default recordings."""
    return load_splits(DataConfig())[split].take(torch.arange(count))


def saved(epoch: Epoch, folder: Path) -> Tensors:
    """Save an epoch and return its tensors."""
    epoch.save(folder)
    return load_checkpoint(folder)[0]


def assert_equal(found: Tensors, expected: Tensors) -> None:
    """Assert equality bit for bit."""
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def differ(one: Tensors, other: Tensors) -> bool:
    """Whether any tensor differs."""
    return not all(torch.equal(one[name], tensor) for name, tensor in other.items())


def assert_same_movements(found: Canonical, expected: Canonical) -> None:
    """Assert equality bit for bit; unknown target widths are equal."""
    assert (found.group, found.source) == (expected.group, expected.source)
    for name in TENSORS:
        one, other = getattr(found, name), getattr(expected, name)
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True, msg=name)
