"""Linear probe of a frozen embedding: the held-out balanced accuracy of a new linear classifier of a label.

A logistic regression is fitted to frozen embeddings and predicts the labels of held-out users (folds by group, so that
recognising a user does not help). Balanced accuracy is the mean recall over the classes: 1 / K for K classes if the
embedding holds no information, whatever their sizes. The fit weights classes by their inverse size, else it would
neglect a rare one and miss its information.

"The embedding encodes the embodiment and not the task" is then two numbers: the accuracy of one probe is high, and the
interval of the other contains the chance level. A linear probe finds linear information only; a bound such as CLUB's
is no substitute for it.

A class in fewer groups than folds cannot be in every fold; it is left out, and its name and number of rows reported.

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
from trainables.eval.features.feature_tables import Array, as_table
from trainables.eval.indices import Indices
from trainables.eval.intervals.cluster_bootstrap import Estimate, cluster_weights, estimate
from trainables.eval.intervals.config import BootstrapConfig
from trainables.eval.two_sample.probes import Winsoriser

ITERATIONS = 2000  # of L-BFGS on standardised columns; dozens suffice


@dataclass(frozen=True)
class ProbeResult:
    """Accuracy of a linear probe.

    Attributes:
        accuracy: Balanced accuracy on held-out rows, with an interval by group.
        recall: Class -> share of its rows that are recognised.
        left_out: Class in too few groups -> its number of rows.
        n: Number of probed rows.
    """

    accuracy: Estimate
    recall: Mapping[str, float]
    left_out: Mapping[str, int]
    n: int

    @property
    def chance(self) -> float:
        """Chance level 1 / K: the balanced accuracy of an embedding without information."""
        return 1 / len(self.recall)

    @property
    def is_near_chance(self) -> bool:
        """Whether the interval of the accuracy contains the chance level, or lies below it."""
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
    """Fit and test a probe of the labels over folds by group, on one thread.

    Args:
        random: Generator of the bootstrap.
        seed: Seed of the folds.

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
    """Return a multinomial logistic regression with classes of equal weight, on winsorised and standardised columns."""
    regression = LogisticRegression(C=1.0, class_weight="balanced", max_iter=ITERATIONS)
    return make_pipeline(Winsoriser(), StandardScaler(), regression)


def _recall(
    correct: Bool[Tensor, "N"], is_class: Float[Tensor, "N K"], weights: Float[Tensor, "R N"]
) -> Float[Tensor, "R K"]:
    """Return the recall of each class; NaN where a replicate has none of it."""
    recognised: Tensor = (weights * correct) @ is_class
    return recognised / (weights @ is_class)


def _in_enough_groups(labels: Sequence[str], groups: Sequence[str], folds: int) -> tuple[list[int], dict[str, int]]:
    """Return the rows of the classes in at least `folds` groups, and the number of rows of each other class."""
    count = len(set(groups))
    if not 2 <= folds <= count:
        raise ConfigError(f"expected `2 <= folds <= groups`, but got folds={folds} and {count} groups")
    groups_of = Counter(label for label, _ in set(zip(labels, groups, strict=True)))
    rare = {label for label, count in groups_of.items() if count < folds}
    if len(groups_of) - len(rare) < 2:
        raise ConfigError(
            f"expected `classes in at least {folds} groups >= 2`, but got {len(groups_of) - len(rare)} "
            f"of {len(groups_of)}; use fewer folds"
        )
    kept = [row for row, label in enumerate(labels) if label not in rare]
    return kept, dict(sorted(Counter(label for label in labels if label in rare).items()))


def _held_out_predictions(x: Array, y: Indices, owners: Sequence[str], folds: int, seed: int) -> Indices:
    """Return the class of each row, predicted by the probe that was not fitted to its group."""
    predicted = np.empty_like(y)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with threadpool_limits(limits=1):
        for train, test in splitter.split(x, y, owners):
            predicted[test] = balanced_logistic().fit(x[train], y[train]).predict(x[test])
    return predicted
