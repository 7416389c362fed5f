"""What a frozen embedding tells of a label: the held-out balanced accuracy of a fresh linear classifier.

A logistic regression is fitted to embeddings that are never trained on again, and asked for the labels of people whom
it has not met (folds by group, so that knowing a person is no help). Balanced accuracy is the mean over classes of the
share that is recognised: 1 / K for K classes if the embedding says nothing, whatever their sizes. Classes are weighted
by their inverse size in the fit, else a rare one would be passed over and its information go unnoticed.

"Embodiment stands in its embedding, and the task does not" is then two figures: the probe of one is high, and the
interval of the other holds its chance level. A linear probe finds what is linearly there; a bound such as CLUB's is no
substitute for it.

A class that fewer groups than folds have cannot be in every fold; it is left out, by name and with its count of rows.

References: Understanding intermediate layers using linear classifier probes (Alain & Bengio, 2016), arXiv:1610.01644.
The balanced accuracy and its posterior distribution (Brodersen et al., 2010), doi:10.1109/ICPR.2010.764.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.eval.features.feature_tables import Array, Indices, as_table
from trainables.eval.intervals.cluster_bootstrap import Estimate, cluster_weights, estimate
from trainables.eval.intervals.config import BootstrapConfig
from trainables.eval.two_sample.probes import Winsoriser

ITERATIONS = 2000  # of L-BFGS on standardised columns; dozens suffice


@dataclass(frozen=True)
class ProbeResult:
    """How well a label can be read from an embedding.

    Attributes:
        accuracy: Balanced, held out, with an interval by group.
        recall: Class -> share of its rows that were recognised.
        left_out: Class that too few groups have -> its rows.
        n: Rows that were probed.
    """

    accuracy: Estimate
    recall: Mapping[str, float]
    left_out: Mapping[str, int]
    n: int

    @property
    def chance(self) -> float:
        """1 / K: the balanced accuracy of an embedding that says nothing."""
        return 1 / len(self.recall)

    @property
    def is_near_chance(self) -> bool:
        """Whether the interval of the accuracy holds the chance level, or lies below it."""
        return self.accuracy.low <= self.chance


def linear_probe(
    embeddings: Float[Tensor, "N F"],
    labels: Sequence[str],
    groups: Sequence[str],
    random: torch.Generator,
    *,
    folds: int = 5,
    seed: int = 0,
    config: BootstrapConfig = BootstrapConfig(),  # noqa: B008  # frozen
) -> ProbeResult:
    """A fresh probe of the labels, fitted and asked over folds by group, on one thread.

    Args:
        random: Of the bootstrap.
        seed: Of the folds.

    Raises ValueError for non-finite embeddings (naming row and column), and for labels or groups of another number;
    ConfigError for fewer groups than folds, and if fewer than two classes are in enough groups.
    """
    x = as_table(embeddings, "embeddings")
    if not len(x) == len(labels) == len(groups):
        raise ValueError(f"expected one label and one group per row, but got {len(x)}, {len(labels)} and {len(groups)}")
    rows, left_out = _in_enough_groups(labels, groups, folds)
    names, y = np.unique([labels[row] for row in rows], return_inverse=True)
    owners = [groups[row] for row in rows]
    correct = torch.from_numpy(_held_out_predictions(x[rows], y, owners, folds, seed) == y)
    weights = cluster_weights(owners, torch.zeros(len(y), dtype=torch.bool), config.replicates, random)
    recall = _recall(correct, torch.nn.functional.one_hot(torch.from_numpy(y)).double(), weights)
    accuracy = estimate(recall.nanmean(dim=1), config.level)
    return ProbeResult(accuracy, dict(zip(names.tolist(), recall[0].tolist(), strict=True)), left_out, len(y))


def balanced_logistic() -> Pipeline:
    """Multinomial logistic regression with classes of equal weight, on winsorised and standardised columns."""
    regression = LogisticRegression(C=1.0, class_weight="balanced", max_iter=ITERATIONS)
    return make_pipeline(Winsoriser(), StandardScaler(), regression)


def _recall(
    correct: Bool[Tensor, "N"], is_class: Float[Tensor, "N K"], weights: Float[Tensor, "R N"]
) -> Float[Tensor, "R K"]:
    """Share of each class that was recognised; NaN where a replicate has none of it."""
    recognised: Tensor = (weights * correct) @ is_class
    return recognised / (weights @ is_class)


def _in_enough_groups(labels: Sequence[str], groups: Sequence[str], folds: int) -> tuple[list[int], dict[str, int]]:
    """Rows of the classes that at least `folds` groups have, and the number of rows of each other class."""
    people = len(set(groups))
    if not 2 <= folds <= people:
        raise ConfigError(f"expected `2 <= folds <= groups`, but got folds={folds} and {people} groups")
    groups_of = Counter(label for label, _ in set(zip(labels, groups, strict=True)))
    rare = {label for label, count in groups_of.items() if count < folds}
    if len(groups_of) - len(rare) < 2:
        raise ConfigError(
            f"expected `classes in at least {folds} groups >= 2`, but got {len(groups_of) - len(rare)} "
            f"of {len(groups_of)}; ask for fewer folds"
        )
    kept = [row for row, label in enumerate(labels) if label not in rare]
    return kept, dict(sorted(Counter(label for label in labels if label in rare).items()))


def _held_out_predictions(x: Array, y: Indices, owners: Sequence[str], folds: int, seed: int) -> Indices:
    """The class of each row by the probe that was not fitted to its group."""
    predicted = np.empty_like(y)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with threadpool_limits(limits=1):
        for train, test in splitter.split(x, y, owners):
            predicted[test] = balanced_logistic().fit(x[train], y[train]).predict(x[test])
    return predicted
