"""Maximum mean discrepancy with a Gaussian kernel.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j),
    k(a, b) = exp(-|a - b|^2 / (2 sigma^2))

The U-statistic: unbiased, hence around 0, and often negative, for equal distributions; it is never clipped.
It acts on the columns as given: bring them to one scale first (`feature_tables.standardise`).

`mmd_test` counts how often random labels reach the value: p = (1 + #{MMD_b >= MMD}) / (1 + permutations), which
is exact at any size if the law of the pooled rows does not change under the relabelling (exchangeability):
- without groups, any rows may change sides: all rows are independent of each other;
- with groups, only whole blocks do, a block being the rows of one group on one side; rows within may depend on each
  other. A group that has both (a user and the fakes under their conditions) swaps its two blocks or does not, each with
  probability 1/2; blocks of groups that have one side only are shuffled among themselves. With G groups of both
  sides and nothing else there are 2^G labellings, in equivalent pairs if the blocks are even: p stays above about
  2^(1 - G), whatever the difference.

References: A Kernel Two-Sample Test (Gretton et al., 2012), Lemma 6, eq. 3. Permutation P-values Should Never Be Zero
(Phipson & Smyth, 2010), eq. 2, doi:10.2202/1544-6115.1585.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from trainables.eval.features.feature_tables import Array, FakeRows, Groups, RealRows, as_pair, as_table, group_numbers
from trainables.eval.indices import Indices

MEDIAN_ROWS = 2000  # above this many rows the median distance is that of a seeded subsample
BLOCK = 512  # rows of a kernel block: 2 MB in float64, so that it stays in the cache of the one thread a trial has
TEST_ROWS = 4096  # of both samples together, at most, in a permutation test: a kernel matrix of 64 MB in float32
TIE = 1e-6  # permuted values this little below the statistic count as equal: rounding of float32 never lowers p

Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class MMDTest:
    """Result of a permutation test: MMD^2, its p-value and the number of permutations."""

    statistic: float
    p_value: float
    permutations: int


def mmd_rbf(real: RealRows, fake: FakeRows, sigma: float | None = None) -> float:
    """Return the unbiased MMD^2 of the given columns; `sigma=None` is the median distance of the pooled sample.

    Computed in float64 by blocks: time O((N + M)^2 F), memory O(N + M). Raises ValueError for non-finite values,
    fewer than two rows, differing columns, and a sigma that is not positive and finite.
    """
    n, m = len(real), len(fake)
    x, y = _scaled(real, fake, sigma).split([n, m])
    within = _kernel_sum_of_pairs(x) / (n * (n - 1)) + _kernel_sum_of_pairs(y) / (m * (m - 1))
    return within - 2 * _kernel_sum(x, y) / (n * m)


def mmd_test(
    real: RealRows,
    fake: FakeRows,
    sigma: float | None = None,
    *,
    real_groups: Groups | None = None,
    fake_groups: Groups | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> MMDTest:
    """Return MMD^2 and its permutation p-value; the top of this file defines the relabellings and their assumptions.

    Time O((N + M)^2 (F + permutations)). Raises ValueError as `mmd_rbf` does, for more than `TEST_ROWS` rows in all
    (choose rows first; none is left out here), groups of one part only or of the wrong number, and groups so few that
    a relabelling leaves one side with fewer than two rows.
    """
    n, m = len(real), len(fake)
    if n + m > TEST_ROWS or permutations < 1:
        law, got = f"`rows of both <= {TEST_ROWS}` and `permutations >= 1`", f"{n + m} and {permutations}"
        raise ValueError(f"expected {law}, but got {got}; test a seeded choice of rows")
    is_fake, groups = np.arange(n + m) >= n, group_numbers(real_groups, fake_groups, (n, m))
    kernel, rng = _kernel_matrix(_scaled(real, fake, sigma)), np.random.default_rng(seed)
    drawn = np.stack([is_fake] + [_relabelled(is_fake, groups, rng) for _ in range(permutations)], axis=1)
    if min(drawn.sum(axis=0).min(), (~drawn).sum(axis=0).min()) < 2:
        law = "`rows of each side >= 2` after every relabelling"
        raise ValueError(f"expected {law}, but got fewer; give more groups, of more even sizes")
    values = _statistics(kernel, drawn)
    reached = int((values[1:] >= values[0] - TIE).sum())
    return MMDTest(mmd_rbf(real, fake, sigma), (1 + reached) / (1 + permutations), permutations)


def mmd_of_rows(real: RealRows, fake: RealRows, sigma: float) -> Callable[[Indices], float]:
    """Return a function of rows: the MMD^2 between those rows of both samples, at a fixed sigma.

    Time O(N^2 F) once and O(N^2) per choice, memory O(N^2). Raises ValueError as `mmd_rbf` does, also for a choice.
    """
    x, y = _scaled(real, fake, sigma).split(len(real))
    within = (torch.exp(-torch.cdist(x, x).square()) + torch.exp(-torch.cdist(y, y).square())).fill_diagonal_(0.0)
    between = torch.exp(-torch.cdist(x, y).square())

    def statistic(rows: Indices) -> float:
        count, z = len(rows), torch.zeros(len(x), dtype=torch.float64)
        if count < 2:
            raise ValueError(f"expected `rows >= 2` for an unbiased MMD, but got {count}")
        z[rows] = 1.0
        return (z @ (within @ z) / (count * (count - 1)) - 2 * (z @ (between @ z)) / count**2).item()

    return statistic


def median_distance(x: RealRows, seed: int = 0) -> float:
    """Return the median Euclidean distance between different rows; of `MEDIAN_ROWS` seeded rows if there are more."""
    table = as_table(x, "x")
    if len(table) > MEDIAN_ROWS:
        table = table[np.random.default_rng(seed).choice(len(table), MEDIAN_ROWS, replace=False)]
    return float(np.median(torch.pdist(torch.from_numpy(table)).numpy()))


def _scaled(real: Tensor | Array, fake: Tensor | Array, sigma: float | None) -> Float[Tensor, "R F"]:
    """Return the pooled rows, centred, in units in which the kernel is exp(-|a - b|^2)."""
    pooled = torch.cat([torch.from_numpy(table) for table in as_pair(real, fake)])
    width = median_distance(pooled) if sigma is None else sigma
    if not 0 < width < float("inf"):
        raise ValueError(f"expected `sigma` to be positive and finite, but got {width}; are half of all rows equal?")
    return (pooled - pooled.mean(dim=0)) / (width * 2**0.5)


def _kernel_sum_of_pairs(x: Tensor) -> float:
    """Return the sum of exp(-|x_i - x_j|^2) over i != j: the diagonal blocks once, those above them twice."""
    total = 0.0
    for i in range(0, len(x), BLOCK):
        rows = x[i : i + BLOCK]
        total += 2 * torch.exp(-torch.pdist(rows).square_()).sum().item() + 2 * _kernel_sum(rows, x[i + BLOCK :])
    return total


def _kernel_sum(x: Tensor, y: Tensor) -> float:
    """Return the sum of exp(-|x_i - y_j|^2) over all i, j, in blocks, with -|x - y|^2 = 2 x.y - |x|^2 - |y|^2."""
    total, x_square, y_square = 0.0, x.square().sum(dim=1), y.square().sum(dim=1)
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            block = torch.addmm(-y_square[j : j + BLOCK], x[i : i + BLOCK], y[j : j + BLOCK].T, alpha=2)
            total += block.sub_(x_square[i : i + BLOCK, None]).clamp_(max=0).exp_().sum().item()
    return total


def _kernel_matrix(x: Float[Tensor, "R F"]) -> Float[Tensor, "R R"]:
    """Return exp(-|x_i - x_j|^2) less its mean over pairs, zero on the diagonal; float32, built by blocks.

    A constant subtracted from all pairs does not change MMD^2; without it the sums are small and keep their digits.
    """
    kernel, total, square = x.new_empty(len(x), len(x), dtype=torch.float32), 0.0, x.square().sum(dim=1)
    for i in range(0, len(x), BLOCK):
        rows = torch.addmm(-square, x[i : i + BLOCK], x.T, alpha=2).sub_(square[i : i + BLOCK, None])
        kernel[i : i + BLOCK] = rows.clamp_(max=0).exp_()
        total += rows.sum().item() - rows.diagonal(i).sum().item()
    return kernel.sub_(total / (len(x) * (len(x) - 1))).fill_diagonal_(0.0)


def _statistics(kernel: Float[Tensor, "R R"], is_fake: Labels) -> npt.NDArray[np.float64]:
    """Return MMD^2 under each column of labels [R, P]: sums over pairs are z' K z with z the indicator of fakes."""
    row_sums = torch.cat([rows.double().sum(dim=1) for rows in kernel.split(BLOCK)])
    values = []
    for labels in torch.from_numpy(is_fake).split(BLOCK, dim=1):
        z, m = labels.double(), labels.double().sum(dim=0)
        within_fake = (z * (kernel @ labels.float())).sum(dim=0)
        between = row_sums @ z - within_fake
        n, within_real = len(kernel) - m, row_sums.sum() - 2 * between - within_fake
        values.append(within_real / (n * (n - 1)) + within_fake / (m * (m - 1)) - 2 * between / (n * m))
    return torch.cat(values).numpy()


def _relabelled(is_fake: Labels, groups: Indices | None, rng: np.random.Generator) -> Labels:
    """Return one relabelling under the null: of rows, or of the blocks of groups."""
    if groups is None:
        return rng.permutation(is_fake)
    has_real, has_fake = (np.bincount(groups[side], minlength=groups.max() + 1) > 0 for side in (~is_fake, is_fake))
    paired, swapped = has_real & has_fake, rng.random(len(has_real)) < 0.5
    side = has_fake.copy()
    side[~paired] = rng.permutation(has_fake[~paired])
    labels: Labels = np.where(paired[groups], is_fake ^ swapped[groups], side[groups])
    return labels
