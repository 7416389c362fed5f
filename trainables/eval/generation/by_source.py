"""Statistics by source: each over the rows of one source, and their mean over sources.

Recorders differ from each other as much as a generator does from users, so that a probe of rows of two sources
would learn the source. Everything is therefore fitted within each source, against the users of that source, and what
stands for all of them is the mean over sources, in which each counts alike.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from trainables.core.config import require
from trainables.eval.generation.config import MINIMUM_MOVEMENTS
from trainables.eval.indices import Indices
from trainables.eval.intervals.jackknife import Statistic
from trainables.eval.two_sample.paired import WHOLE_USERS

REMEDY = "read recordings of more of its users, or leave the source out"


def rows_by_source(sources: Sequence[str]) -> dict[str, Indices]:
    """Return the row numbers of each source, ascending; sources in the order of their names.

    >>> {source: rows.tolist() for source, rows in rows_by_source(["b", "a", "b"]).items()}
    {'a': [1], 'b': [0, 2]}
    """
    names = np.asarray(sources)
    return {source: np.flatnonzero(names == source) for source in sorted(set(sources))}


def mean_over_sources(statistics: Mapping[str, Statistic], rows: Mapping[str, Indices]) -> Statistic:
    """Return the mean over sources of their statistics, as a statistic of row numbers among all sources.

    Args:
        statistics: Source -> statistic of row numbers among the rows of that source.
        rows: Source -> its rows, ascending. A source of which no row is chosen is left out of the mean.
    """

    def of(chosen: Indices) -> float:
        own = {source: np.flatnonzero(np.isin(rows[source], chosen)) for source in statistics}
        return float(np.mean([statistics[source](part) for source, part in own.items() if len(part)]))

    return of


def equal_shares(available: Mapping[str, int], most: int) -> dict[str, int]:
    """Return how many rows of each source are evaluated: at most `most` in all, of the larger sources equally many.

    >>> equal_shares({"a": 10, "b": 100, "c": 90}, 70), equal_shares({"a": 10}, 70)
    ({'a': 10, 'b': 30, 'c': 30}, {'a': 10})
    """
    shares, left = {}, most
    for place, (source, count) in enumerate(sorted(available.items(), key=lambda item: (item[1], item[0]))):
        shares[source] = min(count, left // (len(available) - place))
        left -= shares[source]
    return {source: shares[source] for source in available}


def require_enough(owners: Mapping[str, Sequence[str]], folds: int) -> None:
    """Require as many movements and users of each of several sources as its folds and its intervals need.

    Args:
        owners: Source -> user of each evaluated movement.

    Raises:
        ConfigError: Fewer movements than `MINIMUM_MOVEMENTS` or than folds, one user, or of the many users whose
            movements are kept together fewer than folds.
    """
    least = max(MINIMUM_MOVEMENTS, folds)
    for source, names in owners.items():
        users = len(Counter(names))
        fewest = folds if users >= WHOLE_USERS else 2
        law = f"`evaluated movements of {source}, with as many of its training users >= {least}`"
        require(len(names) >= least, law, str(len(names)), REMEDY)
        require(users >= fewest, f"`evaluated users of {source} >= {fewest}`", str(users), REMEDY)
