"""Precision and recall for distributions (PRD): realism of the fake rows, and coverage of the real ones.

Both samples are turned into histograms over common clusters. For an angle with slope l = tan(angle),
    precision(l) = sum_c min(l real_c, fake_c),    recall(l) = precision(l) / l,
and the curve is summarised by max F_1/8 (weights precision) and max F_8 (weights recall). It is nearly blind to
dispersion within a cluster, so use it with other metrics.

References: Assessing Generative Models via Precision and Recall (Sajjadi et al., 2018), eq. 7 and section 4.1,
arXiv:1806.00035.
"""

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from trainables.eval.features.feature_tables import FakeRows, RealRows, as_pair, equalise

BETA = 8.0
ANGLE_MARGIN = 1e-10  # distance of the first and last angle from 0 and pi/2, where the slope is 0 or infinite

Array = npt.NDArray[np.float64]


def prd(
    real: RealRows,
    fake: FakeRows,
    *,
    clusters: int = 20,
    angles: int = 1001,
    clusterings: int = 10,
    seed: int = 0,
) -> tuple[float, float]:
    """Return (precision, recall) = (max F_1/8, max F_8) of the curve averaged over seeded k-means clusterings.

    The larger sample is cut to the size of the smaller by a seeded choice, because clusters follow the larger one.
    The columns are taken as given: bring them to one scale first (`feature_tables.standardise`). Raises ValueError for
    non-finite values, differing columns, fewer rows than clusters, or counts that are too small.
    """
    if clusters < 2 or angles < 3 or clusterings < 1:
        got = f"{clusters}, {angles} and {clusterings}"
        raise ValueError(f"expected `clusters >= 2`, `angles >= 3` and `clusterings >= 1`, but got {got}")
    x, y = as_pair(real, fake)
    a, b = equalise(x, y, seed)
    if len(a) < clusters:
        raise ValueError(
            f"expected `clusters` not to exceed the rows of either sample, but got {clusters} and {len(a)}"
        )
    union = np.concatenate([x[a], y[b]])
    with threadpool_limits(limits=1):
        histograms = [cluster_histograms(union, len(a), clusters, seed + k) for k in range(clusterings)]
    precision, recall = np.mean([prd_curve(p, q, angles) for p, q in histograms], axis=0)
    return max_f_score(precision, recall, 1 / BETA), max_f_score(precision, recall, BETA)


def cluster_histograms(union: Array, real_rows: int, clusters: int, seed: int) -> tuple[Array, Array]:
    """Return the shares of the real rows (the first ones) and of the fake rows in each k-means cluster of both."""
    labels = KMeans(clusters, n_init=1, random_state=seed).fit(union).labels_
    real, fake = (np.bincount(part, minlength=clusters) / len(part) for part in np.split(labels, [real_rows]))
    return real, fake


def prd_curve(real: Array, fake: Array, angles: int) -> tuple[Array, Array]:
    """Return precision and recall of two histograms at equally spaced angles in (0, pi/2)."""
    slope = np.tan(np.linspace(ANGLE_MARGIN, np.pi / 2 - ANGLE_MARGIN, angles))
    precision = np.minimum(slope[:, None] * real, fake).sum(axis=1)
    return np.clip(precision, 0.0, 1.0), np.clip(precision / slope, 0.0, 1.0)


def max_f_score(precision: Array, recall: Array, beta: float) -> float:
    """Return the maximum of (1 + beta^2) precision recall / (beta^2 precision + recall); 0 where both are 0."""
    weighted = beta**2 * precision + recall
    return float(((1 + beta**2) * precision * recall / np.where(weighted > 0, weighted, 1.0)).max())
