"""Matching by condition: one other movement each, nearest in total, and none twice."""

import itertools
from collections import Counter

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical
from trainables.data.config import DataConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.eval.generation import matching
from trainables.eval.generation.matching import matched_rows, references


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return load_splits(DataConfig())


def cost(evaluated: Canonical, others: Canonical, rows: torch.Tensor) -> float:
    """Sum of squared distances over log duration and log distance, in standard deviations of the evaluated."""
    total = 0.0
    for name in ("duration_s", "distance_px"):
        ours, theirs = getattr(evaluated, name).log(), getattr(others, name).log()[rows]
        total += float(((ours - theirs) / ours.std()).square().sum())
    return total


def test_the_match_is_the_best_of_all_assignments(splits: DataSplits) -> None:
    evaluated, others = splits["validation"].take(torch.arange(4)), splits["train"].take(torch.arange(6))
    best = min(cost(evaluated, others, torch.tensor(rows)) for rows in itertools.permutations(range(6), 4))
    assert cost(evaluated, others, matched_rows(evaluated, others)) == pytest.approx(best)


def test_every_evaluated_movement_has_one_of_its_own_and_itself_among_others(splits: DataSplits) -> None:
    rows = matched_rows(splits["validation"], splits["train"])
    assert len(rows) == len(set(rows.tolist())) == len(splits["validation"])
    itself = matched_rows(splits["validation"], splits["validation"])
    assert cost(splits["validation"], splits["validation"], itself) == pytest.approx(0.0, abs=1e-9)


def test_matched_movements_are_nearer_than_random_ones(splits: DataSplits) -> None:
    evaluated, others = splits["validation"], splits["train"]
    assert cost(evaluated, others, matched_rows(evaluated, others)) < 0.1 * cost(
        evaluated, others, torch.arange(len(evaluated))
    )


def test_fewer_others_than_evaluated_movements_are_refused(splits: DataSplits) -> None:
    with pytest.raises(ConfigError, match="movements of other users of sapimouse >= 5"):
        matched_rows(splits["validation"].take(torch.arange(5)), splits["train"].take(torch.arange(4)))


def test_of_many_training_movements_as_many_of_each_source_are_matched_with(
    splits: DataSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = splits["train"]
    assert references(training, 0) is training
    monkeypatch.setattr(matching, "REFERENCES", 300)
    chosen, other = references(training, 0), references(training, 1)
    assert Counter(chosen.source) == {"cursory": 150, "sapimouse": 150}
    assert torch.equal(chosen.deltas, references(training, 0).deltas)
    assert not torch.equal(chosen.distance_px, other.distance_px)
