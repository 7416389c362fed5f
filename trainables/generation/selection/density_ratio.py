"""Ratio of the density of real movements to that of sampled ones, by calibrated gradient boosting.

A classifier between both estimates the odds of real against sampled, and with equal weight of both classes the odds are
the ratio r = p_real / p_sampled. One model per fold of users is fitted to the movements of the other users; the
log-odds of each movement by the model that has not seen its user are calibrated by a logistic regression,
log r = slope * score + intercept, in which both classes weigh the same, however many samples there are. A new movement
has the mean score of all folds. The ratio is held within [1 / R, R]: boosting is sure of itself where it has seen
little, and a single candidate must never have all the weight.

References: Density Ratio Estimation in Machine Learning (Sugiyama et al., 2012), chapter 4, for the odds of a
classifier; Discriminator Rejection Sampling (Azadi et al., 2019), section 3, arXiv:1810.06758, for its use on samples.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits
from torch import Tensor

from trainables.core.config import require
from trainables.core.derived_seeds import derive
from trainables.generation.selection.boosted_trees import BoostedTrees
from trainables.generation.selection.config import RatioConfig
from trainables.training.checkpoint import flatten, select

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
WEAK = 1e6  # inverse strength of the regularisation of the calibration: none to speak of
SEED_LIMIT = 2**32  # of scikit-learn


@dataclass(frozen=True, eq=False)
class DensityRatio:
    """A fitted ratio.

    Attributes:
        trees: One model per fold of users.
        slope, intercept: Calibration of the mean score.
        max_ratio: R.
        auc: Of the scores of users that a fold was not fitted to; 0.5: no difference was found.
    """

    trees: tuple[BoostedTrees, ...]
    slope: float
    intercept: float
    max_ratio: float
    auc: float

    def __call__(self, table: Floats) -> Floats:
        """Return log r [N] of rows [N, F], within +-log R."""
        score = np.stack([trees(table) for trees in self.trees]).mean(axis=0)
        return self.calibrated(score)

    def out_of_fold(self, table: Floats, fold: Ints) -> Floats:
        """Return log r [N] of rows of users of the fit, each by the model that was not fitted to its user.

        Args:
            fold: Number [N] of the fold of each row's user, see `folds_of_users`; -1: the user was in none, and the
                mean of all models scores the row.
        """
        scores = np.stack([trees(table) for trees in self.trees])
        own = np.where(fold < 0, scores.mean(axis=0), scores[fold, np.arange(len(fold))])
        return self.calibrated(own)

    def calibrated(self, score: Floats) -> Floats:
        """Return log r of scores."""
        bound = math.log(self.max_ratio)
        values: Floats = np.clip(self.slope * score + self.intercept, -bound, bound)
        return values

    @classmethod
    def fit(
        cls,
        real: Floats,
        sampled: Floats,
        owners: Sequence[str],
        sampled_owners: Sequence[str],
        config: RatioConfig,
        advance: Callable[[], object] = lambda: None,
    ) -> "DensityRatio":
        """Fit trees and calibration.

        Args:
            real, sampled: Columns [N, F] and [M, F].
            owners, sampled_owners: User of each real movement, and of the movement whose condition a sample has.
            advance: Called after each fold.

        Raises:
            ConfigError: Fewer users than folds.
        """
        fold_of = folds_of_users(owners, config)
        table, labels = np.concatenate([real, sampled]), np.repeat([1, 0], [len(real), len(sampled)])
        weights = np.where(labels == 1, 0.5 / len(real), 0.5 / len(sampled)) * len(labels)
        fold = np.array([fold_of[owner] for owner in (*owners, *sampled_owners)])
        seed, scores, trees = _seed(config), np.empty(len(labels)), []
        with threadpool_limits(limits=1):
            for number in range(config.folds):
                others, own = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
                classifier = HistGradientBoostingClassifier(
                    max_iter=config.trees,
                    learning_rate=config.learning_rate,
                    max_leaf_nodes=config.leaves,
                    early_stopping=False,
                    random_state=seed,
                ).fit(table[others], labels[others], sample_weight=weights[others])
                trees.append(BoostedTrees.of_classifier(classifier))
                scores[own] = trees[-1](table[own])
                advance()
        slope, intercept = calibration(scores, labels, weights)
        return cls(tuple(trees), slope, intercept, config.max_ratio, float(roc_auc_score(labels, scores)))

    def tensors(self) -> dict[str, Tensor]:
        """Return trees and calibration by name; `of_tensors` inverts it."""
        numbers = torch.tensor([self.slope, self.intercept, self.max_ratio, self.auc], dtype=torch.float64)
        of_folds = (flatten(f"fold{fold}", trees.tensors()) for fold, trees in enumerate(self.trees))
        return {"calibration": numbers, **{name: t for part in of_folds for name, t in part.items()}}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> "DensityRatio":
        """Return the ratio of tensors; raises KeyError or ValueError where they are none."""
        folds = len({name.partition(".")[0] for name in tensors if name.startswith("fold")})
        trees = tuple(BoostedTrees.of_tensors(select(f"fold{fold}", tensors)) for fold in range(folds))
        slope, intercept, max_ratio, auc = tensors["calibration"].tolist()
        if not trees or max_ratio <= 1:
            raise ValueError(f"{folds} folds and a largest ratio of {max_ratio}")
        return cls(trees, slope, intercept, max_ratio, auc)


def folds_of_users(owners: Sequence[str], config: RatioConfig) -> dict[str, int]:
    """Return the number of the fold of each user: that of the model which is not fitted to the user's movements.

    Raises:
        ConfigError: Fewer users than folds.
    """
    users = sorted(set(owners))
    law, remedy = f"`training users of the source >= ratio.folds = {config.folds}`", "set fewer ratio.folds"
    require(len(users) >= config.folds, law, f"{len(users)} users", remedy)
    folds = GroupKFold(config.folds, shuffle=True, random_state=_seed(config)).split(users, groups=users)
    return {users[row]: number for number, (_, own) in enumerate(folds) for row in own}


def _seed(config: RatioConfig) -> int:
    return derive(config.seed, "ratio") % SEED_LIMIT


def calibration(scores: Floats, labels: npt.NDArray[np.int64], weights: Floats) -> tuple[float, float]:
    """Return slope and intercept of the log-odds in the scores; (0, 0) where larger scores are not more often real."""
    found = LogisticRegression(C=WEAK).fit(scores[:, None], labels, sample_weight=weights)
    slope = float(found.coef_[0, 0])
    return (slope, float(found.intercept_[0])) if slope > 0 else (0.0, 0.0)
