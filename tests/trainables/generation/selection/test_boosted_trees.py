"""Boosted trees as arrays: the scores of scikit-learn to the last bit, and damaged arrays refused."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor

from trainables.generation.selection.boosted_trees import BoostedTrees

COLUMNS = 6


@pytest.fixture(scope="module")
def classifier() -> HistGradientBoostingClassifier:
    random = np.random.default_rng(0)
    table = random.normal(size=(1500, COLUMNS)).round(1)  # with ties at thresholds
    labels = (table[:, 0] ** 2 + table[:, 1] * table[:, 2] + random.normal(size=1500) > 1).astype(int)
    return HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, random_state=0).fit(table, labels)


@pytest.mark.parametrize("rows", [1, 7, 400])
def test_scores_are_those_of_scikit_learn_to_the_last_bit(
    classifier: HistGradientBoostingClassifier, rows: int
) -> None:
    table = np.random.default_rng(rows).normal(size=(rows, COLUMNS)).round(1)
    trees = BoostedTrees.of_classifier(classifier)
    assert np.array_equal(trees(table), classifier.decision_function(table))
    assert np.array_equal(BoostedTrees.of_tensors(trees.tensors())(table), trees(table))


def test_a_stump_of_one_leaf_scores_its_value() -> None:
    table, labels = np.zeros((40, 1)), np.repeat([0, 1], 20)
    constant = HistGradientBoostingClassifier(max_iter=3).fit(table, labels)
    assert np.array_equal(BoostedTrees.of_classifier(constant)(table), constant.decision_function(table))


@pytest.mark.parametrize("table", [np.zeros((2, COLUMNS - 1)), np.full((2, COLUMNS), np.nan)])
def test_other_columns_and_missing_values_are_refused(
    classifier: HistGradientBoostingClassifier, table: "np.ndarray[tuple[int, int], np.dtype[np.float64]]"
) -> None:
    with pytest.raises(ValueError, match=r"expected a finite table \[N, 6\]"):
        BoostedTrees.of_classifier(classifier)(table)


def first_points_to_itself(left: Tensor) -> Tensor:
    """The root as its own left child alone: a row would never leave it."""
    return torch.cat([torch.zeros(1, dtype=left.dtype), left[1:]])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("feature", lambda feature: feature + COLUMNS),
        ("left", first_points_to_itself),
        ("right", lambda right: right + len(right)),
        ("roots", lambda roots: roots + 10**6),
        ("value", lambda value: value[1:]),
    ],
)
def test_arrays_that_are_no_trees_are_refused(
    classifier: HistGradientBoostingClassifier, name: str, change: Callable[[Tensor], Tensor]
) -> None:
    tensors = BoostedTrees.of_classifier(classifier).tensors()
    with pytest.raises(ValueError, match="node"):
        BoostedTrees.of_tensors({**tensors, name: change(tensors[name])})
