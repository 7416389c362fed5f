"""Classifier two-sample test: held-out accuracy of a probe that classifies movements as real or fake.

The balanced accuracy of a classifier that is trained to separate the two samples: 0.5 if it finds no difference, 1 if
it is never wrong. It is a lower bound for the best classifier, so a report names the probe, and gives the null band of
real against real (`null_band`) beside the value.

References: Revisiting Classifier Two-Sample Tests (Lopez-Paz & Oquab, 2017), arXiv:1610.06545.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from threadpoolctl import threadpool_limits

from trainables.core.config import ConfigError
from trainables.eval.features.feature_tables import (
    FakeRows,
    Groups,
    RealRows,
    as_pair,
    as_table,
    equalise,
    group_numbers,
    varying,
)
from trainables.eval.indices import Indices
from trainables.eval.two_sample.null_band import NullBand
from trainables.eval.two_sample.probes import PROBES

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class C2STResult:
    """Result of one test; accuracies are balanced and held out."""

    accuracy: float  # predictions of all folds pooled
    auc: float  # ROC AUC, mean over folds: scores of different fits are not comparable
    accuracy_std: float  # standard deviation of the accuracy over folds
    probe: str
    left_out: tuple[str | int, ...]  # columns of one value in all rows of both parts
    degenerate: tuple[str | int, ...]  # columns of one value in the real part alone
    n: int  # rows per class after equalising


@dataclass(frozen=True, eq=False)
class HeldOutScores:
    """Held-out scores of all rows: the real ones, then as many fake ones.

    Attributes:
        is_fake: Label, 0 or 1.
        scores: Probability of "fake".
        folds: Test rows of each fold.
        left_out: Columns of one value in all rows of both parts.
        degenerate: Columns of one value in the real part alone.
    """

    is_fake: Indices
    scores: Array
    folds: tuple[Indices, ...]
    left_out: tuple[str | int, ...]
    degenerate: tuple[str | int, ...]

    @property
    def correct(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Whether each real and each fake row was classified correctly."""
        right = (self.scores > 0.5) == (self.is_fake == 1)
        return right[self.is_fake == 0], right[self.is_fake == 1]


def c2st(real: RealRows, fake: FakeRows) -> float:
    """Return the held-out balanced accuracy with the defaults of `classifier_two_sample_test`."""
    return classifier_two_sample_test(real, fake).accuracy


def classifier_two_sample_test(
    real: RealRows,
    fake: FakeRows,
    *,
    real_groups: Groups | None = None,
    fake_groups: Groups | None = None,
    probe: str = "quadratic",
    folds: int = 5,
    seed: int = 0,
    columns: Sequence[str] | None = None,
) -> C2STResult:
    """Classify real and fake rows as `held_out_scores` does, and return accuracy and ROC-AUC."""
    held_out = held_out_scores(
        real,
        fake,
        real_groups=real_groups,
        fake_groups=fake_groups,
        probe=probe,
        folds=folds,
        seed=seed,
        columns=columns,
    )
    return result_of_scores(held_out, probe)


def result_of_scores(held_out: HeldOutScores, probe: str) -> C2STResult:
    """Return accuracy and AUC of held-out scores."""
    y, scores = held_out.is_fake, held_out.scores
    per_fold = [balanced_accuracy_score(y[test], scores[test] > 0.5) for test in held_out.folds]
    return C2STResult(
        accuracy=float(balanced_accuracy_score(y, scores > 0.5)),
        auc=float(np.mean([roc_auc_score(y[test], scores[test]) for test in held_out.folds])),
        accuracy_std=float(np.std(per_fold)),
        probe=probe,
        left_out=held_out.left_out,
        degenerate=held_out.degenerate,
        n=len(y) // 2,
    )


def held_out_scores(
    real: RealRows,
    fake: FakeRows,
    *,
    real_groups: Groups | None = None,
    fake_groups: Groups | None = None,
    probe: str = "quadratic",
    folds: int = 5,
    seed: int = 0,
    columns: Sequence[str] | None = None,
) -> HeldOutScores:
    """Classify real and fake rows over stratified folds, on one thread; the same arguments give the same result.

    The larger sample is cut to the size of the smaller by a seeded choice. With groups (of a fake row: the group
    of the real row under whose conditions it was made) no group is in the training and the test rows of a fold;
    without, no row is in one while its copy is in the other, so that copies of the real rows are not separated.
    Columns of one value in all rows are left out; `columns` gives names.

    Raises ValueError for non-finite values (naming row and column), an unknown probe, groups of one part only or of
    the wrong number; ConfigError for fewer rows or groups than folds, and folds that hold one class only.
    """
    if probe not in PROBES:
        raise ValueError(f"expected `probe` to be one of {', '.join(PROBES)}, but got {probe!r}")
    x_real, x_fake = as_pair(real, fake, columns)
    kept = varying(x_real, x_fake, columns=columns)
    a, b = equalise(x_real, x_fake, seed)
    x = np.concatenate([x_real[a], x_fake[b]])[:, kept.columns]
    y = np.repeat(np.array([0, 1], dtype=np.int64), len(a))
    numbers = group_numbers(real_groups, fake_groups, (len(x_real), len(x_fake)))
    groups = _copies_together(x, len(a)) if numbers is None else numbers[np.concatenate([a, b + len(x_real)])]
    parts = list(_folds(y, groups, folds, seed))
    scores = _scores(x, y, parts, probe, seed)
    return HeldOutScores(y, scores, tuple(test for _, test in parts), kept.left_out, kept.degenerate)


def null_band(
    real: RealRows,
    *,
    groups: Groups | None = None,
    probe: str = "quadratic",
    repeats: int = 10,
    folds: int = 5,
    seed: int = 0,
) -> NullBand:
    """Return the C2ST accuracy between random halves of the real rows: that of a perfect generator.

    The rows of each group are halved at random, so that both halves have the same users, as real and fake rows do.
    Each half has N/2 rows; at n rows per class the band narrows by about sqrt(N / (2 n)).
    Raises ValueError as `classifier_two_sample_test` does, and if `repeats < 2`.
    """
    if repeats < 2:
        raise ValueError(f"expected `repeats >= 2` for a standard deviation, but got {repeats}")
    as_table(real, "real")
    rng, accuracies = np.random.default_rng(seed), []
    for _ in range(repeats):
        halves = random_halves(rng, len(real), groups)
        parts = [real[half.tolist()] for half in halves]
        owners = [None if groups is None else [groups[i] for i in half.tolist()] for half in halves]
        result = classifier_two_sample_test(
            parts[0], parts[1], real_groups=owners[0], fake_groups=owners[1], probe=probe, folds=folds, seed=seed
        )
        accuracies.append(result.accuracy)
    return NullBand.of(accuracies)


def random_halves(rng: np.random.Generator, rows: int, groups: Groups | None) -> tuple[Indices, Indices]:
    """Split rows into two random halves; with groups each group is halved, odd rows going to the halves in turn."""
    order = rng.permutation(rows)
    if groups is not None:
        order = order[np.argsort(np.asarray(groups)[order], kind="stable")]
    return order[0::2], order[1::2]


def _copies_together(x: Array, rows: int) -> Indices | None:
    """Return groups in which a row and its copies on the other side are together; None where there are no copies."""
    value = np.unique(x, axis=0, return_inverse=True)[1].ravel().astype(np.int64)
    copied = np.intersect1d(value[:rows], value[rows:])
    if not len(copied):
        return None
    groups: Indices = np.where(np.isin(value, copied), value, len(x) + np.arange(len(x)))
    return groups


def _scores(x: Array, y: Indices, parts: Sequence[tuple[Indices, Indices]], probe: str, seed: int) -> Array:
    """Return the probability of "fake" for each row, from the probe that was not trained on it."""
    scores = np.empty(len(y))
    with threadpool_limits(limits=1):
        for train, test in parts:
            scores[test] = PROBES[probe](seed).fit(x[train], y[train]).predict_proba(x[test])[:, 1]
    return scores


def _folds(y: Indices, groups: Indices | None, folds: int, seed: int) -> Iterator[tuple[Indices, Indices]]:
    """Yield the training and test rows of each fold, both classes in each."""
    units = len(y) // 2 if groups is None else len(np.unique(groups))
    if not 2 <= folds <= units:
        unit = "rows per class" if groups is None else "groups"
        raise ConfigError(f"expected `2 <= folds <= {unit}`, but got folds={folds} and {units} {unit}")
    splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    for k, (train, test) in enumerate(splitter(folds, shuffle=True, random_state=seed).split(y, y, groups)):
        if len(np.unique(y[train])) < 2 or len(np.unique(y[test])) < 2:
            law, got = "real and fake rows on both sides of each fold", f"a fold of one kind (number {k} of {folds})"
            raise ConfigError(f"expected {law}, but got {got}; use fewer folds or more groups")
        yield train, test
