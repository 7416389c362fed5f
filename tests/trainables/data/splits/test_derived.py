"""Derived tensors: computed in every process where they are few, of many that are stored once for all."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainables.data.canonical import Canonical
from trainables.data.config import DataConfig
from trainables.data.splits import derived as module
from trainables.data.splits.derived import derived
from trainables.data.splits.loading import load_splits
from trainables.data.splits.store import ENVIRONMENT


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Canonical:
    """A mapped split, larger than a part."""
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    monkeypatch.setattr(module, "PART", 100)
    load_splits.cache_clear()
    movements = load_splits(DataConfig())["train"]
    load_splits.cache_clear()
    return movements


def condition(part: Canonical) -> Tensor:
    return part.condition()


def test_a_large_stored_split_is_derived_once_and_in_parts(training: Canonical, tmp_path: Path) -> None:
    sizes: list[int] = []

    def counted(part: Canonical) -> Tensor:
        sizes.append(len(part))
        return part.condition()

    first = derived(training, "condition", counted)
    assert max(sizes) == 100
    assert sum(sizes) == len(training) + 1  # one row shows the shape
    torch.testing.assert_close(first, training.condition(), rtol=1e-12, atol=1e-12, equal_nan=True)
    assert torch.equal(derived(training, "condition", counted).nan_to_num(), first.nan_to_num())
    assert sum(sizes) == len(training) + 1
    other = derived(training, "angle", lambda part: part.angle)
    assert torch.equal(other, training.angle)


def test_a_copy_of_a_stored_split_and_a_small_one_are_not_taken_for_it(training: Canonical, tmp_path: Path) -> None:
    derived(training, "condition", condition)
    before = sorted(tmp_path.iterdir())
    turned = training.take(torch.arange(len(training)).flip(0))
    whole = derived(training, "condition", condition)[:, :2]
    torch.testing.assert_close(derived(turned, "condition", condition)[:, :2].flip(0), whole)
    few = training.take(torch.arange(7))
    torch.testing.assert_close(derived(few, "condition", condition)[:, :2], few.condition()[:, :2])
    assert sorted(tmp_path.iterdir()) == before
