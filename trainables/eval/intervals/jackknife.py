"""Intervals of figures whose rows depend on each other within groups: the delete-one-group jackknife.

The movements of one person are alike, so that a figure over N rows of G people is as sure as G people make it, not N
rows. With theta over all rows and theta_(-g) over all rows but those of group g,

    se^2 = (G - 1) / G  sum_g (theta_(-g) - mean_h theta_(-h))^2        interval = theta ± t_{G-1} se

Nothing is assumed of the dependence within a group, only that groups are independent of each other. It is exact for the
mean of groups of equal size. The t has fewer degrees of freedom than G - 1 where one group holds most rows: in the
default validation split one has 203 of 334, and a 95 % interval of a mean covers 0.92 where rows are independent, 0.88
where a tenth of their variance is their group's (0.947 and 0.936 with eight groups of 10 to 80 rows).

Two figures over the same rows are compared by the difference of their jackknives, group by group: what makes a group
hard for both leaves it.

References: The Jackknife Estimate of Variance (Efron & Stein, 1981), doi:10.1214/aos/1176345462. Leverage, Influence,
and the Jackknife in Clustered Regression Models (MacKinnon, Nielsen & Webb, 2022), estimator CV3J, arXiv:2205.03288.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from trainables.eval.features.feature_tables import Indices

DRAWS = 20_000  # of the joint distribution: a probability is known to 0.004

Statistic = Callable[[Indices], float]


@dataclass(frozen=True)
class JackknifeEstimate:
    """A figure over all rows, and over all rows but those of one group, for each group."""

    value: float
    without: tuple[float, ...]


@dataclass(frozen=True)
class Interval:
    """A figure with its standard error and a confidence interval by Student's t of `df` degrees of freedom."""

    value: float
    se: float
    low: float
    high: float
    df: int


def jackknife(statistic: Statistic, owners: Sequence[str], groups: Sequence[str]) -> JackknifeEstimate:
    """A statistic of row numbers, over all rows and without those of each of `groups` in turn.

    Args:
        owners: The group of each row. A group of `groups` that owns none changes nothing when it is left out.
    """
    owner, rows = np.asarray(owners), np.arange(len(owners))
    return JackknifeEstimate(statistic(rows), tuple(statistic(rows[owner != group]) for group in groups))


def mean(figures: Sequence[JackknifeEstimate]) -> JackknifeEstimate:
    """The mean of figures over the same groups, as over several draws of noise."""
    values, without = _tables(figures)
    return JackknifeEstimate(float(values.mean()), tuple(without.mean(axis=0).tolist()))


def weighted_sum(figures: Sequence[JackknifeEstimate], weights: Sequence[float]) -> JackknifeEstimate:
    """sum_k w_k figure_k, group by group; raises ValueError for figures over other groups."""
    values, without = _tables(figures)
    w = np.asarray(weights, dtype=np.float64)
    return JackknifeEstimate(float(w @ values), tuple((w @ without).tolist()))


def difference(a: JackknifeEstimate, b: JackknifeEstimate) -> JackknifeEstimate:
    """a - b, group by group: paired, for figures over the same rows. Raises ValueError for other groups."""
    values, without = _tables([a, b])
    return JackknifeEstimate(float(values[0] - values[1]), tuple((without[0] - without[1]).tolist()))


def interval(figure: JackknifeEstimate, confidence: float = 0.95) -> Interval:
    """The figure with its standard error and two-sided interval.

    Raises ValueError unless `0 < confidence < 1`, and for fewer than two groups.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"expected `0 < confidence < 1`, but got confidence={confidence}")
    value, deviations = figure.value, _deviations([figure])
    se, df = float(np.sqrt((deviations**2).sum())), len(figure.without) - 1
    reach = float(stats.t.ppf((1 + confidence) / 2, df)) * se
    return Interval(value, se, value - reach, value + reach, df)


def probability_best(figures: Sequence[JackknifeEstimate], seed: int) -> tuple[float, ...]:
    """How probable it is that each figure is the smallest, given what is known of all of them together.

    The share of draws in which it is, from the multivariate t about the figures, with the jackknife's covariances as
    its scale and G - 1 degrees of freedom; equal draws share. Figures over the same rows move together, which is why
    intervals that overlap may still leave no doubt. Raises ValueError for other groups, and fewer than two.

    References: Multivariate t Distributions and Their Applications (Kotz & Nadarajah, 2004), section 1.1.
    """
    values, deviations = _tables(figures)[0], _deviations(figures)
    rng, groups = np.random.default_rng(seed), deviations.shape[1]
    normal = deviations @ rng.standard_normal((groups, DRAWS))  # covariance: deviations deviations'
    draws = values[:, None] + normal / np.sqrt(rng.chisquare(groups - 1, DRAWS) / (groups - 1))
    smallest = draws == draws.min(axis=0)
    return tuple((smallest / smallest.sum(axis=0)).mean(axis=1).tolist())


def _tables(figures: Sequence[JackknifeEstimate]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Values [K] and values without each group [K, G]."""
    counts = {len(figure.without) for figure in figures}
    if len(counts) != 1:
        raise ValueError(f"expected figures over the same groups, but got {sorted(counts)} groups")
    values, without = [figure.value for figure in figures], [figure.without for figure in figures]
    return np.array(values, dtype=np.float64), np.array(without, dtype=np.float64)


def _deviations(figures: Sequence[JackknifeEstimate]) -> npt.NDArray[np.float64]:
    """D [K, G] with D D' the jackknife's covariance: theta_(-g) about its mean over groups, times sqrt((G - 1) / G)."""
    without = _tables(figures)[1]
    groups = without.shape[1]
    if groups < 2:
        raise ValueError(f"expected `groups >= 2` for a standard error, but got {groups}")
    deviations: npt.NDArray[np.float64] = without - without.mean(axis=1, keepdims=True)
    return deviations * math.sqrt((groups - 1) / groups)
