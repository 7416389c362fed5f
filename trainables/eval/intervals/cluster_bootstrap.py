"""Intervals by person: the cluster bootstrap, whose every replicate is one row of weights.

The movements of one person are alike, so it is people who are drawn, with all their rows: G of G, with replacement. A
replicate is how often each person was drawn, hence a weight per row, and a figure that takes weights [R, N] gives R
replicates of itself in one pass. The first row of the weights is all ones: the figure itself. The interval is that of
the percentiles, level / 2 on either side of the middle.

Bots made under the conditions of people stand in those people's groups and are drawn with them. Bots in groups without
people are drawn among their own groups, so that no replicate is without people. A replicate in which a figure has no
value (no bot was drawn) is left out, and an interval says how many it rests on.

What it cannot do: with G people it knows G rows, with fewer than about ten the percentiles are too narrow, and of one
person, or of a share of exactly 0 or 1, every replicate is the same. The interval of a share therefore also holds the
exact binomial one of independent rows: the least that must be granted, since rows of one person are alike.

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
    """A figure with its percentile interval and the number of replicates that have a value."""

    value: float
    low: float
    high: float
    replicates: int


@dataclass(frozen=True)
class Share:
    """A share of rows, with the groups that own them and its interval."""

    hits: int
    n: int
    groups: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """hits / n."""
        return self.hits / self.n


def cluster_weights(
    groups: Sequence[str], is_bot: Bool[Tensor, "N"], replicates: int, random: torch.Generator
) -> Float[Tensor, "R N"]:
    """Weights of the rows: all ones first, then one row per replicate; float64.

    Args:
        groups: Whoever made each row, or was imitated.
        is_bot: Rows that alone give their group no claim to be drawn among the people.
    """
    names, number = np.unique(np.asarray(groups), return_inverse=True)
    of_row = torch.from_numpy(number)
    has_people = torch.zeros(len(names), dtype=torch.bool).index_put((of_row[~is_bot],), torch.tensor(True))
    drawn = torch.zeros(replicates, len(names), dtype=torch.float64)
    for members in (has_people.nonzero().squeeze(1), (~has_people).nonzero().squeeze(1)):
        if len(members):
            chosen = members[torch.randint(len(members), (replicates, len(members)), generator=random)]
            drawn.scatter_add_(1, chosen, torch.ones(chosen.shape, dtype=torch.float64))
    return torch.cat([torch.ones(1, len(of_row), dtype=torch.float64), drawn[:, of_row]])


def estimate(figures: Float[Tensor, "R"], level: float) -> Estimate:
    """The figure (the first of them) and the percentiles of its replicates that are no NaN.

    Raises ValueError if the figure itself is NaN, or no replicate has a value.
    """
    value, drawn = figures[0], figures[1:][~figures[1:].isnan()]
    if bool(value.isnan()) or not len(drawn):
        raise ValueError(
            f"expected a figure and its replicates to have values, but got {value.item()} and {len(drawn)}"
        )
    low, high = _percentiles(drawn, level)
    return Estimate(value.item(), low, high, len(drawn))


def share(hit: Bool[Tensor, "N"], groups: Sequence[str], config: BootstrapConfig, random: torch.Generator) -> Share:
    """The share of rows that are hits, with an interval by group that holds the binomial one.

    Raises ValueError for no rows.
    """
    if not len(hit):
        raise ValueError("expected `rows of a share >= 1`, but got 0")
    names, number = np.unique(np.asarray(groups), return_inverse=True)
    empty, of_row = torch.zeros(len(names), dtype=torch.float64), torch.from_numpy(number)
    hits, rows = (empty.index_add(0, of_row, part.double()) for part in (hit, torch.ones_like(hit)))
    weights = cluster_weights(names.tolist(), torch.zeros(len(names), dtype=torch.bool), config.replicates, random)
    by_group = _percentiles((weights[1:] @ hits) / (weights[1:] @ rows), config.level)
    by_row = binomial_interval(int(hit.sum()), len(hit), config.level)
    low, high = min(by_group[0], by_row[0]), max(by_group[1], by_row[1])
    return Share(int(hit.sum()), len(hit), len(names), low, high)


def binomial_interval(hits: int, n: int, level: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share of n independent rows: quantiles of beta distributions."""
    rest = (1 - level) / 2
    low = float(stats.beta.ppf(rest, hits, n - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(1 - rest, hits + 1, n - hits)) if hits < n else 1.0
    return low, high


def _percentiles(drawn: Float[Tensor, "R"], level: float) -> tuple[float, float]:
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = drawn.quantile(ends).tolist()
    return low, high
