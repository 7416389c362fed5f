"""Where the conditions of a request come from if it names none: distributions over what training movements were.

Each draws row i by (seed, i) and the longest duration alone, so that the first rows are the same however many are
drawn: rows [a, b) of one seed are a slice of its rows [0, b).
"""

from collections.abc import Callable
from functools import partial

import torch

from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.data.canonical import RATE_HZ
from trainables.data.config import CONDITION_NAMES
from trainables.generation.conditions import Conditions

TRAINING = "training"
BINS = 8  # of an even distribution; one more halves the rarest of them on the default recordings

Distribution = Callable[[Conditions, int, int, int], Conditions]
"""(conditions of the training movements, rows, seed, most 60 Hz steps of a movement) -> conditions of the rows."""


def training(known: Conditions, count: int, seed: int, longest: int) -> Conditions:
    """Those of training movements, with replacement: jointly as they were made."""
    return known.draw(count, seed, longest)


def even(known: Conditions, count: int, seed: int, longest: int, *, column: str) -> Conditions:
    """Those of training movements, but equally many of each of `BINS` equal ranges of a column that is not empty.

    Raises:
        ConfigError: no training movement is as short as `longest` steps.
    """
    steps = (known.raw[:, 0].exp() * RATE_HZ).round()
    rows = (steps <= longest).nonzero().squeeze(1)
    require(len(rows) > 0, "`seq_len >= the shortest known movement`", f"seq_len={longest}")
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
