"""Confidence intervals of metrics whose rows depend on each other within users: the delete-one-group jackknife.

The movements of one user are alike, so that the standard error of a metric over N rows follows from the number G of
users and not from N. With theta over all rows and theta_(-g) over all rows but those of group g,

    se^2 = (G - 1) / G  sum_g (theta_(-g) - mean_h theta_(-h))^2        interval = theta ± t_{G-1} se

Nothing is assumed of the dependence within a group, only that groups are independent of each other. It is exact for the
mean of groups of equal size. The t has fewer degrees of freedom than G - 1 where one group holds most rows: in the
default validation split one has 203 of 334, and a 95 % interval of a mean covers 0.92 where rows are independent, 0.88
where a tenth of their variance is their group's (0.947 and 0.936 with eight groups of 10 to 80 rows).

Two metrics over the same rows are compared by the difference of their jackknives, group by group: what makes a group
hard for both cancels.

A metric that is the mean over R draws (of a sampler's noise, of bots) also varies by them, which the jackknife misses
where something was fitted to each draw: it holds the fit. With s^2 the variance of the draws' values, of a difference
that of the draws' differences, and two independent variances of G - 1 and R - 1 degrees of freedom,

    se^2 = se_J^2 + s^2 / R        df = se^4 / (se_J^4 / (G - 1) + (s^2 / R)^2 / (R - 1))

What the rows of one draw vary by is in both terms, so that the interval is rather too wide. One draw has no variance.

A metric between two ends a < b has its interval on the logit scale, inside of them, where it lies inside itself:

    p = (theta - a) / (b - a)        expit(logit(p) ± t_df se / ((b - a) p (1 - p)))        scaled back to a ... b

by the delta method, where the standard error on that scale is at most 1: beyond, as of a rare share that few groups
have, the logit is no linear function of what varies, and the interval would be nearly all of the range. Such a metric,
one at an end, and one with one end alone keep theta ± t se, cut at the ends.

A metric that is measured in K strata with groups of their own, by a fit of its own in each (folds of users, each with
its model), is the mean over strata. What is left out of one stratum leaves the others as they are, so

    se^2 = 1 / K^2  sum_k se_k^2        interval = mean ± t_{G-K} se        G groups in all strata together

with the strata as they are: what the fits have in common, such as training users, is not part of it.

References: The Jackknife Estimate of Variance (Efron & Stein, 1981), doi:10.1214/aos/1176345462. Leverage, Influence,
and the Jackknife in Clustered Regression Models (MacKinnon, Nielsen & Webb, 2022), estimator CV3J, arXiv:2205.03288.
Introduction to Variance Estimation (Wolter, 2007), chapter 4, "Usage in Stratified Sampling". An Approximate
Distribution of Estimates of Variance Components (Satterthwaite, 1946), doi:10.2307/3002019. Interval Estimation for a
Proportion Using Logit and the Delta Method: Categorical Data Analysis (Agresti, 2013), section 1.4 and 16.1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.eval.indices import Indices

LARGEST_LOGIT_SE = 1.0  # standard error on the logit scale for which the delta method is taken to hold
DRAWS = 20_000  # from the joint distribution: the standard error of a probability is below 0.004

Statistic = Callable[[Indices], float]


@dataclass(frozen=True)
class JackknifeEstimate:
    """Metric over all rows, and without the rows of each group in turn.

    Attributes:
        draws: Of a mean over several draws the value of each; empty where the draws' variance is not known.
    """

    value: float
    without: tuple[float, ...]
    draws: tuple[float, ...] = ()


@dataclass(frozen=True)
class Interval:
    """Metric with its standard error and a confidence interval by Student's t of `df` degrees of freedom.

    Attributes:
        df: Not whole where the variance over draws is added (Satterthwaite).
    """

    value: float
    se: float
    low: float
    high: float
    df: float


def jackknife(statistic: Statistic, owners: Sequence[str], groups: Sequence[str]) -> JackknifeEstimate:
    """Return a statistic of row numbers, over all rows and without those of each of `groups` in turn.

    Args:
        owners: Group of each row. Leaving out a group without rows changes nothing.
    """
    owner, rows = np.asarray(owners), np.arange(len(owners))
    return JackknifeEstimate(statistic(rows), tuple(statistic(rows[owner != group]) for group in groups))


def mean(metrics: Sequence[JackknifeEstimate]) -> JackknifeEstimate:
    """Return the mean of one metric over draws, as over several seeds; raises ValueError for different groups."""
    values, without = _tables(metrics)
    return JackknifeEstimate(float(values.mean()), tuple(without.mean(axis=0).tolist()), tuple(values.tolist()))


def weighted_sum(metrics: Sequence[JackknifeEstimate], weights: Sequence[float]) -> JackknifeEstimate:
    """Return sum_k w_k metric_k, group by group and draw by draw; the draws' values only where all have as many.

    Raises ValueError for metrics over different groups.
    """
    values, without = _tables(metrics)
    w = np.asarray(weights, dtype=np.float64)
    paired = len({len(metric.draws) for metric in metrics}) == 1
    draws = w @ np.array([metric.draws for metric in metrics], dtype=np.float64) if paired else np.zeros(0)
    return JackknifeEstimate(float(w @ values), tuple((w @ without).tolist()), tuple(draws.tolist()))


def difference(a: JackknifeEstimate, b: JackknifeEstimate) -> JackknifeEstimate:
    """Return a - b, paired by group and by draw, for metrics over the same rows.

    Draws with independent noise may be paired in any order. Raises ValueError for different groups.
    """
    return weighted_sum([a, b], [1.0, -1.0])


def interval(
    metric: JackknifeEstimate, confidence: float = 0.95, within: tuple[float, float] = (-math.inf, math.inf)
) -> Interval:
    """Return the metric with its standard error and two-sided interval.

    Args:
        within: Smallest and largest value that the metric can take; the interval stays inside.

    Raises ValueError unless `0 < confidence < 1`, and for fewer than two groups.
    """
    return over_strata([metric], confidence, within)


def over_strata(
    metrics: Sequence[JackknifeEstimate], confidence: float = 0.95, within: tuple[float, float] = (-math.inf, math.inf)
) -> Interval:
    """Return the mean of one metric over strata, each with groups of its own, and its two-sided interval.

    Args:
        metrics: The metric in each stratum, with and without each of the groups there.
        within: Smallest and largest value that the metric can take; the interval stays inside.

    Raises ValueError unless `0 < confidence < 1`, for no stratum, and for one with fewer than two groups.
    """
    from scipy.special import stdtrit  # here: commands that show no interval start faster without SciPy

    if not 0 < confidence < 1:
        raise ValueError(f"expected `0 < confidence < 1`, but got confidence={confidence}")
    if not metrics:
        raise ValueError("expected `strata >= 1`, but got 0")
    variance, df = _variance(metrics)
    value, se = float(np.mean([metric.value for metric in metrics])), math.sqrt(variance)
    low, high = _ends(value, se, float(stdtrit(df, (1 + confidence) / 2)), within)
    return Interval(value, se, low, high, df)


def _variance(metrics: Sequence[JackknifeEstimate]) -> tuple[float, float]:
    """Return the variance of the mean over strata, over groups and over draws, and its degrees of freedom."""
    strata = len(metrics)
    groups = sum(float((_deviations([metric]) ** 2).sum()) for metric in metrics) / strata**2
    df_groups = sum(len(metric.without) for metric in metrics) - strata
    several = [np.array(metric.draws, dtype=np.float64) for metric in metrics if len(metric.draws) > 1]
    draws = sum(float(of.var(ddof=1)) / len(of) for of in several) / strata**2
    if not draws > 0:
        return groups, df_groups
    df_draws = sum(map(len, several)) - len(several)
    return groups + draws, (groups + draws) ** 2 / (groups**2 / df_groups + draws**2 / df_draws)


def _ends(value: float, se: float, t: float, within: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of an interval: on the logit scale between two finite ends, else cut at the range."""
    from scipy.special import expit, logit

    low, high = within
    if not (low < value < high and math.isfinite(high - low)):
        return max(value - t * se, low), min(value + t * se, high)
    share = (value - low) / (high - low)
    se_logit = se / ((high - low) * share * (1 - share))
    if se_logit > LARGEST_LOGIT_SE:
        return max(value - t * se, low), min(value + t * se, high)
    ends = [low + (high - low) * float(expit(logit(share) + sign * t * se_logit)) for sign in (-1, 1)]
    return ends[0], ends[1]


def probability_best(metrics: Sequence[JackknifeEstimate], seed: int) -> tuple[float, ...]:
    """Return the probability that each metric is the smallest, given their joint distribution.

    The share of draws in which it is, from the multivariate t about the metrics, with the covariances over groups and,
    where all have the same number of draws, over these as its scale and G - 1 degrees of freedom; ties are shared.
    Metrics over the same rows are correlated, so that overlapping intervals may still leave no doubt. Raises ValueError
    for different groups, and fewer than two.

    References: Multivariate t Distributions and Their Applications (Kotz & Nadarajah, 2004), section 1.1.
    """
    values, deviations = _tables(metrics)[0], _deviations(metrics)
    rng, groups = np.random.default_rng(seed), deviations.shape[1]
    deviations = np.hstack([deviations, _draw_deviations(metrics)])
    normal = deviations @ rng.standard_normal((deviations.shape[1], DRAWS))  # covariance: deviations deviations'
    draws = values[:, None] + normal / np.sqrt(rng.chisquare(groups - 1, DRAWS) / (groups - 1))
    smallest = draws == draws.min(axis=0)
    return tuple((smallest / smallest.sum(axis=0)).mean(axis=1).tolist())


def _tables(metrics: Sequence[JackknifeEstimate]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the values [K] and the values without each group [K, G]."""
    counts = {len(metric.without) for metric in metrics}
    if len(counts) != 1:
        raise ValueError(f"expected metrics over the same groups, but got {sorted(counts)} groups")
    values, without = [metric.value for metric in metrics], [metric.without for metric in metrics]
    return np.array(values, dtype=np.float64), np.array(without, dtype=np.float64)


def _deviations(metrics: Sequence[JackknifeEstimate]) -> npt.NDArray[np.float64]:
    """Return D [K, G] with D D' the jackknife's covariance: centred theta_(-g), times sqrt((G - 1) / G)."""
    without = _tables(metrics)[1]
    groups = without.shape[1]
    if groups < 2:
        raise ValueError(f"expected `groups >= 2` for a standard error, but got {groups}")
    deviations: npt.NDArray[np.float64] = without - without.mean(axis=1, keepdims=True)
    return deviations * math.sqrt((groups - 1) / groups)


def _draw_deviations(metrics: Sequence[JackknifeEstimate]) -> npt.NDArray[np.float64]:
    """Return D [K, R] with D D' the covariance of the means over draws; R is 0 where these cannot be paired."""
    counts = {len(metric.draws) for metric in metrics}
    if len(counts) != 1 or min(counts) < 2:
        return np.zeros((len(metrics), 0))
    draws = np.array([metric.draws for metric in metrics], dtype=np.float64)
    deviations: npt.NDArray[np.float64] = draws - draws.mean(axis=1, keepdims=True)
    return deviations / math.sqrt(draws.shape[1] * (draws.shape[1] - 1))
