"""Improved precision and recall, density and coverage, by balls that reach the k-th nearest neighbour.

The ball of x_i is closed and reaches its k-th nearest other row of the same sample: r_i = |x_i - x_(k)|. With x real
and y fake, N rows of either:

    precision = share of y within the ball of some x      density  = sum over x of the number of y in its ball / (k N)
    recall    = share of x within the ball of some y      coverage = share of x whose ball holds some y

Precision and recall count every ball equally, so that one real outlier makes distant fakes count as realistic; density
counts balls instead (about 1 for equal distributions, above it for fakes in dense regions), and coverage uses the balls
of the real rows alone. The larger sample is cut to the size of the smaller by a seeded choice,
because the radii follow the number of rows. Columns are taken as given: bring them to one scale first.

References: Improved Precision and Recall Metric for Assessing Generative Models (Kynkäänniemi et al., 2019), eq. 1-2,
arXiv:1904.06991. Reliable Fidelity and Diversity Metrics for Generative Models (Naeem et al., 2020), eq. 4 and 6,
arXiv:2002.09797.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.eval.features.feature_tables import Array, FakeRows, RealRows, as_pair, equalise

BLOCK = 128  # rows of distances at a time: 10 MB in float64 against 10,000 others
ROUNDING = 1e-12  # of |x|^2 + r^2: rows nearer to the rim than this count as on it, and the balls are closed


def precision_recall(real: RealRows, fake: FakeRows, *, neighbours: int = 3, seed: int = 0) -> tuple[float, float]:
    """Return improved (precision, recall), both in [0, 1]; raises ValueError as `precision_recall_rows` does."""
    realistic, recalled = precision_recall_rows(real, fake, neighbours=neighbours, seed=seed)
    return realistic.double().mean().item(), recalled.double().mean().item()


def precision_recall_rows(
    real: RealRows, fake: FakeRows, *, neighbours: int = 3, seed: int = 0
) -> tuple[Bool[Tensor, "K"], Bool[Tensor, "K"]]:
    """Return which fakes lie in the ball of a real row, and which real rows in that of a fake.

    Time O(N^2 F), memory O(N).

    Raises ValueError for non-finite values, differing columns, and unless `1 <= neighbours < rows of either sample`.
    """
    x, y = _equal_parts(real, fake, neighbours, seed)
    reach_x, reach_y = _squared_radii(x, neighbours), _squared_radii(y, neighbours)
    realistic, recalled = torch.zeros(2, len(x), dtype=torch.bool)
    for rows, squares in _squared_distances(x, y):
        realistic |= (squares <= reach_x[rows, None]).any(dim=0)
        recalled[rows] = (squares <= reach_y).any(dim=1)
    return realistic, recalled


def density_coverage(real: RealRows, fake: FakeRows, *, neighbours: int = 5, seed: int = 0) -> tuple[float, float]:
    """Return (density, coverage): density >= 0 and not bounded by 1, coverage in [0, 1]; time and memory as above.

    For equal distributions of many rows the expected density is 1, the expected coverage 1 - 2^-k (0.97 for k = 5).
    Raises ValueError as `precision_recall` does.
    """
    x, y = _equal_parts(real, fake, neighbours, seed)
    reach, held = _squared_radii(x, neighbours), torch.zeros(len(x), dtype=torch.float64)
    for rows, squares in _squared_distances(x, y):
        held[rows] = (squares <= reach[rows, None]).sum(dim=1).double()
    return held.mean().item() / neighbours, (held > 0).double().mean().item()


def _squared_radii(x: Float[Tensor, "N F"], neighbours: int) -> Float[Tensor, "N"]:
    """Return the squared distance of each row to its k-th nearest other, plus `ROUNDING`."""
    reach = x.new_empty(len(x))
    for rows, squares in _squared_distances(x, x):  # the nearest of all is the row itself
        reach[rows] = squares.topk(neighbours + 1, dim=1, largest=False).values[:, -1]
    return reach + ROUNDING * (reach + x.square().sum(dim=1))


def _squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Float[Tensor, "B M"]]]:
    """Yield the rows of x, block by block, and |x|^2 + |y|^2 - 2 x.y to all rows of y."""
    x_square, y_square = x.square().sum(dim=1), y.square().sum(dim=1)
    for start in range(0, len(x), BLOCK):
        rows = slice(start, min(start + BLOCK, len(x)))
        yield rows, torch.addmm(y_square, x[rows], y.T, alpha=-2).add_(x_square[rows, None])


def _equal_parts(real: Tensor | Array, fake: Tensor | Array, neighbours: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return as many rows of either, centred on the median of the real ones, so that squares lose no digits."""
    tables = as_pair(real, fake)
    chosen = equalise(*tables, seed)
    if not 1 <= neighbours < len(chosen[0]):
        raise ValueError(f"expected `1 <= neighbours < {len(chosen[0])}` rows, but got neighbours={neighbours}")
    centre = np.median(tables[0], axis=0)
    x, y = (torch.from_numpy(table[rows] - centre) for table, rows in zip(tables, chosen, strict=True))
    return x, y
