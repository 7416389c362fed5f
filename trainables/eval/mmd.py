"""Maximum mean discrepancy with a Gaussian kernel.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j),
    k(a, b) = exp(-|a - b|^2 / (2 sigma^2))

The U-statistic: unbiased, hence around 0, and often negative, for equal distributions; it is never clipped.
It acts on the columns as they are given: bring them to one scale first (`tables.standardise`).

References: A Kernel Two-Sample Test (Gretton et al., 2012), Lemma 6, eq. 3.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trainables.eval.tables import as_pair, as_table

MEDIAN_ROWS = 2000  # above this many rows the median distance is that of a seeded subsample
BLOCK = 512  # rows of a kernel block: 2 MB in float64, so that it stays in the cache of the one thread a trial has


def mmd_rbf(real: Float[Tensor, "N F"], fake: Float[Tensor, "M F"], sigma: float | None = None) -> float:
    """Unbiased MMD^2 of the given columns; `sigma=None` takes the median pairwise distance of the pooled sample.

    Computed in float64 by blocks: time O((N + M)^2 F), memory O(N + M). Raises ValueError for non-finite values,
    fewer than two rows, differing columns, and a sigma that is not positive and finite.
    """
    x, y = (torch.from_numpy(table) for table in as_pair(real, fake))
    pooled = torch.cat([x, y])
    width = median_distance(pooled) if sigma is None else sigma
    if not 0 < width < float("inf"):
        raise ValueError(f"`sigma` must be positive and finite, but got {width}; are half of all rows equal?")
    scale = 1 / (width * 2**0.5)
    x, y = ((part - pooled.mean(dim=0)) * scale for part in (x, y))
    n, m = len(x), len(y)
    within = _kernel_sum_of_pairs(x) / (n * (n - 1)) + _kernel_sum_of_pairs(y) / (m * (m - 1))
    return within - 2 * _kernel_sum(x, y) / (n * m)


def median_distance(x: Float[Tensor, "N F"], seed: int = 0) -> float:
    """Median Euclidean distance between different rows; of `MEDIAN_ROWS` seeded rows if there are more."""
    table = as_table(x, "x")
    if len(table) > MEDIAN_ROWS:
        table = table[np.random.default_rng(seed).choice(len(table), MEDIAN_ROWS, replace=False)]
    return float(np.median(torch.pdist(torch.from_numpy(table)).numpy()))


def _kernel_sum_of_pairs(x: Tensor) -> float:
    """Sum of exp(-|x_i - x_j|^2) over i != j: the diagonal blocks once, those above them twice."""
    total = 0.0
    for i in range(0, len(x), BLOCK):
        rows = x[i : i + BLOCK]
        total += 2 * torch.exp(-torch.pdist(rows).square_()).sum().item() + 2 * _kernel_sum(rows, x[i + BLOCK :])
    return total


def _kernel_sum(x: Tensor, y: Tensor) -> float:
    """Sum of exp(-|x_i - y_j|^2) over all i, j, in blocks, with -|x - y|^2 = 2 x.y - |x|^2 - |y|^2."""
    total, x_square, y_square = 0.0, x.square().sum(dim=1), y.square().sum(dim=1)
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            block = torch.addmm(-y_square[j : j + BLOCK], x[i : i + BLOCK], y[j : j + BLOCK].T, alpha=2)
            total += block.sub_(x_square[i : i + BLOCK, None]).clamp_(max=0).exp_().sum().item()
    return total
