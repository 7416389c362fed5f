"""Confidence intervals by user: the cluster bootstrap, where every replicate is one row of weights.

The movements of one user are alike, so users are resampled with all their rows: G of G, with replacement. A replicate
is how often each user was drawn, hence a weight per row, and a metric that takes weights [R, N] returns R replicates
of itself in one pass. The first row of the weights is all ones: the metric itself. The interval is that of the
percentiles, level / 2 on either side of the median.

Bots that were made under the conditions of users are in those users' groups and are resampled with them. Bots in groups
without a user are resampled among their own groups, so that no replicate is without users. A replicate in which a
metric is undefined (no bot was drawn) is left out, and an interval records how many replicates it rests on.

Limits: G users are G observations, with fewer than about ten the percentiles are too narrow, and for one user, or a
proportion of exactly 0 or 1, every replicate is the same. The interval of a proportion therefore contains the exact
binomial one of independent rows, which is the least width possible, since rows of one user are alike.

References: Bootstrapping clustered data (Field & Welsh, 2007), "cluster bootstrap",
doi:10.1111/j.1467-9868.2007.00593.x. The use of confidence or fiducial limits illustrated in the case of the binomial
(Clopper & Pearson, 1934), doi:10.1093/biomet/26.4.404.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import stats
from torch import Tensor

from trainables.eval.intervals.config import BootstrapConfig


@dataclass(frozen=True)
class Estimate:
    """Metric with its percentile interval and the number of replicates in which it is defined."""

    value: float
    low: float
    high: float
    replicates: int


@dataclass(frozen=True)
class Proportion:
    """Proportion of rows, with the number of users who made them and its interval."""

    hits: int
    n: int
    users: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The proportion hits / n."""
        return self.hits / self.n


def cluster_weights(
    groups: Sequence[str], is_bot: Bool[Tensor, "N"], replicates: int, random: torch.Generator
) -> Float[Tensor, "R N"]:
    """Return the weights of the rows: all ones first, then one row per replicate; float64.

    Args:
        groups: User who made each row, or under whose conditions a bot made it.
        is_bot: Rows of bots; a group of bots alone is resampled among its like.
    """
    names, number = np.unique(np.asarray(groups), return_inverse=True)
    of_row = torch.from_numpy(number)
    has_users = torch.zeros(len(names), dtype=torch.bool).index_put((of_row[~is_bot],), torch.tensor(True))
    drawn = torch.zeros(replicates, len(names), dtype=torch.float64)
    for members in (has_users.nonzero().squeeze(1), (~has_users).nonzero().squeeze(1)):
        if len(members):
            chosen = members[torch.randint(len(members), (replicates, len(members)), generator=random)]
            drawn.scatter_add_(1, chosen, torch.ones(chosen.shape, dtype=torch.float64))
    return torch.cat([torch.ones(1, len(of_row), dtype=torch.float64), drawn[:, of_row]])


def estimate(values: Float[Tensor, "R"], level: float) -> Estimate:
    """Return the metric (the first value) with the percentiles of its replicates that are not NaN.

    Raises ValueError if the metric itself is NaN, or all replicates are.
    """
    value, drawn = values[0], values[1:][~values[1:].isnan()]
    if bool(value.isnan()) or not len(drawn):
        raise ValueError(
            f"expected a metric with values in its replicates, but got {value.item()} and {len(drawn)} replicates"
        )
    low, high = _percentiles(drawn, level)
    return Estimate(value.item(), low, high, len(drawn))


def proportion(
    hit: Bool[Tensor, "N"], groups: Sequence[str], config: BootstrapConfig, random: torch.Generator
) -> Proportion:
    """Return the proportion of hits among the rows, with an interval by group that contains the binomial one.

    Raises ValueError for no rows.
    """
    if not len(hit):
        raise ValueError("expected `rows of a proportion >= 1`, but got 0")
    names, number = np.unique(np.asarray(groups), return_inverse=True)
    empty, of_row = torch.zeros(len(names), dtype=torch.float64), torch.from_numpy(number)
    hits, rows = (empty.index_add(0, of_row, part.double()) for part in (hit, torch.ones_like(hit)))
    weights = cluster_weights(names.tolist(), torch.zeros(len(names), dtype=torch.bool), config.replicates, random)
    by_group = _percentiles((weights[1:] @ hits) / (weights[1:] @ rows), config.level)
    by_row = binomial_interval(int(hit.sum()), len(hit), config.level)
    low, high = min(by_group[0], by_row[0]), max(by_group[1], by_row[1])
    return Proportion(int(hit.sum()), len(hit), len(names), low, high)


def binomial_interval(hits: int, n: int, level: float) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a proportion of n independent rows: quantiles of beta distributions."""
    rest = (1 - level) / 2
    low = float(stats.beta.ppf(rest, hits, n - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(1 - rest, hits + 1, n - hits)) if hits < n else 1.0
    return low, high


def _percentiles(drawn: Float[Tensor, "R"], level: float) -> tuple[float, float]:
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = drawn.quantile(ends).tolist()
    return low, high
