"""Gradient-boosted trees as plain arrays: written and read as tensors, evaluated without scikit-learn.

Scikit-learn stores a fitted model as a pickle, which can run code when it is read. Here its trees become arrays of
nodes, and the score of a row is the sum that scikit-learn computes, in the same order, so to the last bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float64]
ARRAYS = ("feature", "threshold", "left", "right", "value", "roots")


@dataclass(frozen=True, eq=False)
class BoostedTrees:
    """Trees of a binary classifier, all nodes one after another; a leaf is its own child.

    Attributes:
        feature: Column that a node reads.
        threshold: Rows up to it go left, others right.
        left, right: Numbers of the children.
        value: Summand of a leaf, 0 elsewhere.
        roots: Number of the root of each tree.
        baseline: Score before the first tree.
        columns: Number of columns that the trees were fitted to.
    """

    feature: npt.NDArray[np.int64]
    threshold: Floats
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    value: Floats
    roots: npt.NDArray[np.int64]
    baseline: float
    columns: int

    @classmethod
    def of_classifier(cls, classifier: Any) -> "BoostedTrees":
        """Return the trees of a binary `HistGradientBoostingClassifier`, fitted to numbers without missing ones."""
        trees = [tree.nodes for (tree,) in classifier._predictors]
        sizes = np.array([len(nodes) for nodes in trees])
        roots = np.cumsum(sizes) - sizes
        nodes, first = np.concatenate(trees), np.repeat(roots, sizes)
        leaf, own = nodes["is_leaf"].astype(bool), np.arange(len(nodes))
        left, right = (np.where(leaf, own, first + nodes[side].astype(np.int64)) for side in ("left", "right"))
        return cls(
            np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
            np.where(leaf, 0.0, nodes["num_threshold"]),
            left,
            right,
            np.where(leaf, nodes["value"], 0.0),
            roots,
            float(np.ravel(classifier._baseline_prediction)[0]),
            int(classifier.n_features_in_),
        )

    def __call__(self, table: Floats) -> Floats:
        """Return the log-odds [N] of rows [N, F], as `decision_function` of the classifier does.

        Raises:
            ValueError: Another number of columns, or a value that is not finite.
        """
        if table.ndim != 2 or table.shape[1] != self.columns or not np.isfinite(table).all():
            raise ValueError(f"expected a finite table [N, {self.columns}], but got {list(table.shape)}")
        rows = np.arange(len(table))[:, None]
        node = np.repeat(self.roots[None], len(table), axis=0)
        while bool(((self.left[node] != node) | (self.right[node] != node)).any()):
            goes_left = table[rows, self.feature[node]] <= self.threshold[node]
            node = np.where(goes_left, self.left[node], self.right[node])
        start = np.full((len(table), 1), self.baseline)
        scores: Floats = np.concatenate([start, self.value[node]], axis=1).cumsum(axis=1)[:, -1]  # in order
        return scores

    def tensors(self) -> dict[str, Tensor]:
        """Return the arrays as finite tensors by name; `of_tensors` inverts it."""
        named = {name: torch.from_numpy(np.ascontiguousarray(getattr(self, name))) for name in ARRAYS}
        baseline = torch.tensor(self.baseline, dtype=torch.float64)
        return {**named, "baseline": baseline, "columns": torch.tensor(self.columns)}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> "BoostedTrees":
        """Return the trees of tensors.

        Raises:
            KeyError: One is missing.
            ValueError: A node reads no column, or its children are none or do not come after it, so that a row would
                never reach a leaf.
        """
        found = {name: tensors[name].numpy() for name in ARRAYS}
        columns, size, own = int(tensors["columns"]), len(found["feature"]), np.arange(len(found["feature"]))
        if any(found[name].shape != (size,) for name in ARRAYS[:-1]):
            raise ValueError("nodes of unequal number")
        if size == 0 or not ((found["feature"] >= 0) & (found["feature"] < columns)).all():
            raise ValueError(f"a node reads none of the {columns} columns")
        left, right, roots = found["left"], found["right"], found["roots"]
        leaf = (left == own) & (right == own)
        ahead = (np.minimum(left, right) > own) & (np.maximum(left, right) < size)
        if not (leaf | ahead).all() or not ((roots >= 0) & (roots < size)).all():
            raise ValueError("a node whose children do not come after it")
        return cls(**found, baseline=float(tensors["baseline"]), columns=columns)
