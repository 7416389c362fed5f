"""Distributions over the conditions of training movements, from which a request without conditions is sampled.

Row i depends on (seed, i) and the longest allowed duration alone, so rows [a, b) of a seed are a slice of its rows
[0, b), however many are sampled.
"""

from collections.abc import Callable
from functools import partial

import torch

from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.data.config import CONDITION_NAMES, RATE_HZ
from trainables.generation.conditions import Conditions

TRAINING = "training"
BINS = 8  # of an even distribution; one more halves the rarest of them on the default recordings

Distribution = Callable[[Conditions, int, int, int], Conditions]
"""(conditions of the training movements, rows, seed, most 60 Hz steps of a movement) -> conditions of the rows."""


def training(known: Conditions, count: int, seed: int, longest: int) -> Conditions:
    """Sample whole rows of the training conditions with replacement, which keeps their joint distribution."""
    return known.draw(count, seed, longest)


def even(known: Conditions, count: int, seed: int, longest: int, *, column: str) -> Conditions:
    """Sample whole rows of the training conditions, uniform over the non-empty of `BINS` equal ranges of a column.

    Raises:
        ConfigError: no training movement is as short as `longest` steps.
    """
    steps = (known.raw[:, 0].exp() * RATE_HZ).round()
    rows = (steps <= longest).nonzero().squeeze(1)
    require(len(rows) > 0, "`seq_len >= the shortest training movement`", f"seq_len={longest}")
    values = known.raw[rows, CONDITION_NAMES.index(column)]
    edges = torch.linspace(float(values.min()), float(values.max()), BINS + 1, dtype=values.dtype)
    place = torch.bucketize(values, edges[1:-1])
    bins = [rows[place == each] for each in place.unique().tolist()]
    chosen = torch.randint(len(bins), (count,), generator=generator(seed, "conditions", "bin"))
    share = torch.rand(count, generator=generator(seed, "conditions", "row"), dtype=torch.float64)
    size = torch.tensor([len(each) for each in bins])
    start = size.cumsum(0) - size
    return known.take(torch.cat(bins)[start[chosen] + (share * size[chosen]).long()])


DISTRIBUTIONS: dict[str, Distribution] = {
    TRAINING: training,
    "even_distance": partial(even, column="log_distance_px"),
    "even_duration": partial(even, column="log_duration_s"),
}
