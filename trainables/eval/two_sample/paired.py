"""Paired classifier two-sample test: each real movement beside the fake one made under its conditions.

A pair is never split over folds. Where at least `WHOLE_USERS` users made the real movements, all pairs of a user are in
one fold, so that nothing is known of a tested user; with fewer users a threshold, and much else, does not carry over
from the users that a probe is fitted to, and folds are over pairs. The result says which.

AUC is computed in each fold and averaged: scores of different fits are never pooled. Accuracy is balanced, at the
threshold that is best on the training rows of the fold. Each user counts alike, in the fit and in both figures: the
weight of a row is 1 over the number of its user's pairs. The number of users that N weighted rows stand for as far as
their sizes go is (sum_u n_u)^2 / sum_u n_u^2: one user with most of the rows leaves little more than one.

The band of no difference is that of the same test with the sides of all pairs of a user swapped, or not, by chance:
exchangeable under the null, at the same N, users and folds.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from sklearn import config_context
from sklearn.metrics import roc_curve
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from trainables.core.config import ConfigError
from trainables.data.users import effective_users, largest_share
from trainables.eval.features.feature_tables import Array, RealRows, as_pair, varying
from trainables.eval.indices import Indices
from trainables.eval.roc_curve import curve, roc_auc
from trainables.eval.two_sample.null_band import NullBand
from trainables.eval.two_sample.probes import PROBES

__all__ = ["PairedScores", "effective_users", "no_difference", "paired_scores"]

WHOLE_USERS = 20  # from which on all pairs of a user are in one fold


@dataclass(frozen=True, eq=False)
class PairedScores:
    """Held-out scores of both sides of N pairs; larger: likelier fake.

    Attributes:
        real, fake: Score of each row by the probe that was not fitted to its fold.
        fold: Fold of each pair.
        thresholds: Of each fold, from its training rows.
        owners: User of each pair.
        folds_by: "users" or "pairs".
        left_out: Columns of one value in all rows.
        degenerate: Columns of one value in the real rows alone.
    """

    real: Array
    fake: Array
    fold: Indices
    thresholds: Array
    owners: tuple[str, ...]
    folds_by: str
    left_out: tuple[str | int, ...]
    degenerate: tuple[str | int, ...]

    @cached_property
    def weights(self) -> Array:
        """1 over the number of the user's pairs."""
        return _weights(self.owners)

    @property
    def users(self) -> int:
        """Number of users."""
        return len(set(self.owners))

    @property
    def effective_users(self) -> float:
        """Number of users of equal size that the pairs stand for."""
        return effective_users(self.owners)

    @property
    def largest_share(self) -> float:
        """Share of the pairs of the user with most."""
        return largest_share(self.owners)

    def auc(self, pairs: Indices | None = None) -> float:
        """Return the weighted AUC of chosen pairs, the mean over the folds that have any."""
        return float(np.mean([self._auc_of(rows) for rows in self._by_fold(pairs)]))

    def accuracy(self, pairs: Indices | None = None) -> float:
        """Return the weighted balanced accuracy of chosen pairs at the thresholds of the training rows."""
        chosen = np.arange(len(self.fold)) if pairs is None else pairs
        threshold, weight = self.thresholds[self.fold[chosen]], self.weights[chosen]
        right = (self.real[chosen] <= threshold).astype(float) + (self.fake[chosen] > threshold)
        return float((right * weight).sum() / weight.sum() / 2)

    def _by_fold(self, pairs: Indices | None) -> Iterator[Indices]:
        chosen = np.arange(len(self.fold)) if pairs is None else pairs
        for fold in range(len(self.thresholds)):
            rows = chosen[self.fold[chosen] == fold]
            if len(rows):
                yield rows

    def _auc_of(self, rows: Indices) -> float:
        scores = torch.from_numpy(np.concatenate([self.real[rows], self.fake[rows]]))
        is_fake = torch.arange(len(scores)) >= len(rows)
        return roc_auc(curve(scores, is_fake, torch.from_numpy(self.weights[rows]).repeat(1, 2))).item()


def paired_scores(
    real: RealRows,
    fake: RealRows,
    owners: Sequence[str],
    *,
    probe: str = "quadratic",
    folds: int = 5,
    seed: int = 0,
    columns: Sequence[str] | None = None,
) -> PairedScores:
    """Score both sides of each pair by a probe that was fitted to the other folds, on one thread.

    Args:
        real, fake: Row i of both is pair i.
        owners: User of the real movement of each pair.
        columns: Names of the columns.

    Raises:
        ValueError: non-finite values (naming row and column), tables of different shapes, an unknown probe, or another
            number of owners than pairs.
        ConfigError: fewer pairs than folds.
    """
    if probe not in PROBES:
        raise ValueError(f"expected `probe` to be one of {', '.join(PROBES)}, but got {probe!r}")
    x, y = as_pair(real, fake, columns)
    if not len(x) == len(y) == len(owners):
        raise ValueError(
            f"expected a row of both sides and an owner per pair, but got {len(x)}, {len(y)}, {len(owners)}"
        )
    kept = varying(x, y, columns=columns)
    by_users = len(set(owners)) >= WHOLE_USERS
    fold = _folds(owners if by_users else None, len(x), folds, seed)
    scores = _scores(x[:, kept.columns], y[:, kept.columns], fold, _weights(owners), probe, seed)
    return PairedScores(*scores, tuple(owners), "users" if by_users else "pairs", kept.left_out, kept.degenerate)


def no_difference(
    real: RealRows,
    fake: RealRows,
    owners: Sequence[str],
    *,
    probe: str = "quadratic",
    repeats: int = 10,
    folds: int = 5,
    seed: int = 0,
) -> NullBand:
    """Return the band of the AUC where the sides of each user's pairs are swapped by chance.

    Raises ValueError and ConfigError as `paired_scores` does, and ValueError if `repeats < 2`.
    """
    return NullBand.of(swapped_aucs(real, fake, owners, probe=probe, repeats=repeats, folds=folds, seed=seed))


def swapped_aucs(
    real: RealRows,
    fake: RealRows,
    owners: Sequence[str],
    *,
    probe: str = "quadratic",
    repeats: int = 10,
    folds: int = 5,
    seed: int = 0,
) -> tuple[float, ...]:
    """Return the AUC of `repeats` swaps by chance of the sides of all pairs of a user; a seed swaps the same users.

    Raises ValueError and ConfigError as `paired_scores` does, and ValueError if `repeats < 2`.
    """
    if repeats < 2:
        raise ValueError(f"expected `repeats >= 2` for a standard deviation, but got {repeats}")
    x, y = as_pair(real, fake)
    rng, users = np.random.default_rng(seed), np.unique(np.asarray(owners), return_inverse=True)[1]
    found = []
    for repeat in range(repeats):
        swap = (rng.random(users.max() + 1) < 0.5)[users][:, None]
        sides = np.where(swap, y, x), np.where(swap, x, y)
        found.append(paired_scores(*sides, owners, probe=probe, folds=folds, seed=seed + repeat).auc())
    return tuple(found)


def _weights(owners: Sequence[str]) -> Array:
    sizes = Counter(owners)
    return np.array([1.0 / sizes[owner] for owner in owners])


def _folds(owners: Sequence[str] | None, pairs: int, folds: int, seed: int) -> Indices:
    """Return the fold of each pair: whole users in folds of like size, or pairs at random."""
    if not 2 <= folds <= pairs:
        raise ConfigError(f"expected `2 <= folds <= pairs`, but got folds={folds} and {pairs} pairs")
    fold = np.empty(pairs, dtype=np.int64)
    if owners is None:
        fold[np.random.default_rng(seed).permutation(pairs)] = np.arange(pairs) % folds
        return fold
    splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(splitter.split(fold, groups=np.asarray(owners))):
        fold[test] = number
    return fold


def _scores(
    x: Array, y: Array, fold: Indices, weights: Array, probe: str, seed: int
) -> tuple[Array, Array, Indices, Array]:
    """Return the scores of both sides, the folds, and the threshold of each."""
    both, weight_of_both, labels = np.concatenate([x, y]), np.tile(weights, 2), np.repeat([0, 1], len(x))
    scores, thresholds = np.empty(len(both)), np.empty(int(fold.max()) + 1)
    with threadpool_limits(limits=1), config_context(assume_finite=True, skip_parameter_validation=True):
        for number in range(len(thresholds)):
            test = np.tile(fold == number, 2)
            model = PROBES[probe](seed)
            weight = weight_of_both[~test]
            model.fit(both[~test], labels[~test], **{f"{model.steps[-1][0]}__sample_weight": weight})
            found = model.predict_proba(both)[:, 1]
            thresholds[number] = _best_threshold(labels[~test], found[~test], weight)
            scores[test] = found[test]
    real, fake = np.split(scores, 2)
    return real, fake, fold, thresholds


def _best_threshold(labels: npt.NDArray[np.int64], scores: Array, weights: Array) -> float:
    """Return the score from which on a row counts as fake that has the largest balanced accuracy on these rows."""
    false_alarms, hits, levels = roc_curve(labels, scores, sample_weight=weights)
    best = int(np.argmax(hits - false_alarms))
    below = scores[scores < levels[best]]
    return float((min(levels[best], 1.0) + below.max()) / 2) if len(below) else -np.inf
