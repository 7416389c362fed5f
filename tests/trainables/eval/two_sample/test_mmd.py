"""The permutation test of MMD: its definition in plain loops, exact under the null, and what groups change."""

import math
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from trainables.eval.metrics import median_distance, mmd_rbf, mmd_test
from trainables.eval.two_sample import mmd

Labels = npt.NDArray[np.bool_]


def normal(seed: int, n: int, f: int, shift: float = 0.0) -> Tensor:
    return shift + torch.randn(n, f, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labelled_mmd(rows: Tensor, is_fake: Labels, sigma: float) -> float:
    """MMD^2 by a loop over all ordered pairs, each with the weight of its two labels."""
    m = int(is_fake.sum())
    n = len(rows) - m
    weight = {(False, False): 1 / (n * (n - 1)), (True, True): 1 / (m * (m - 1))}
    points, total = rows.tolist(), 0.0
    for i, (p, a) in enumerate(zip(points, is_fake.tolist(), strict=True)):
        for j, (q, b) in enumerate(zip(points, is_fake.tolist(), strict=True)):
            if i != j:
                total += weight.get((a, b), -1 / (n * m)) * math.exp(-(math.dist(p, q) ** 2) / (2 * sigma**2))
    return total


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("block", [7, 512])
def test_the_p_value_counts_the_relabellings_that_reach_the_statistic(
    seed: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mmd, "BLOCK", block)
    real, fake = normal(seed, 9, 2), normal(seed + 10, 12, 2, shift=0.6)
    pooled, sigma, rng = torch.cat([real, fake]), 1.3, np.random.default_rng(seed)
    is_fake = np.arange(21) >= 9
    statistic = labelled_mmd(pooled, is_fake, sigma)
    reached = sum(labelled_mmd(pooled, rng.permutation(is_fake), sigma) >= statistic for _ in range(40))
    found = mmd_test(real, fake, sigma, permutations=40, seed=seed)
    assert found.statistic == pytest.approx(statistic, abs=1e-13)
    assert (found.p_value, found.permutations) == ((1 + reached) / 41, 40)


def test_its_statistic_is_the_mmd_and_its_width_the_pooled_median() -> None:
    real, fake = normal(1, 30, 3), normal(2, 40, 3, shift=0.3)
    assert mmd_test(real, fake, permutations=9).statistic == mmd_rbf(real, fake)
    sigma = median_distance(torch.cat([real, fake]))
    assert mmd_test(real, fake, permutations=99) == mmd_test(real, fake, sigma, permutations=99)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_values_of_the_float32_matrix_are_those_of_float64(offset: float) -> None:
    """To well within `TIE`, by which a permuted value may fall short of the statistic and still count."""
    rows, is_fake = normal(1, 700, 8) + offset, np.arange(700) % 3 == 0
    kernel = mmd._kernel_matrix(mmd._scaled(rows, rows[:2], 2.0)[:700])
    found = mmd._statistics(kernel, is_fake[:, None])
    assert found[0] == pytest.approx(mmd_rbf(rows[~is_fake], rows[is_fake], 2.0), abs=mmd.TIE / 20)


def test_p_follows_from_the_seed() -> None:
    pair = normal(1, 30, 3), normal(2, 30, 3)
    assert mmd_test(*pair, seed=1) == mmd_test(*pair, seed=1)
    assert mmd_test(*pair, seed=1).p_value != mmd_test(*pair, seed=2).p_value


# 300 tests of equal distributions. With 99 permutations P(p <= 0.05) is exactly 0.05: 15 are expected with s.d. 3.8,
# and a mean p of 0.505 with s.d. 0.017. Limits are four standard deviations (false-failure rate 2e-4 together).
def test_p_is_uniform_under_the_null() -> None:
    values = [mmd_test(normal(2 * k, 20, 3), normal(2 * k + 1, 20, 3), permutations=99).p_value for k in range(300)]
    assert 0 < sum(p <= 0.05 for p in values) <= 30
    assert np.mean(values) == pytest.approx(0.505, abs=0.067)


@pytest.mark.parametrize(("shift", "scale"), [(0.8, 1.0), (0.0, 0.3)])
def test_p_is_as_small_as_the_permutations_allow_under_an_alternative(shift: float, scale: float) -> None:
    found = mmd_test(normal(1, 80, 3), scale * normal(2, 80, 3) + shift, permutations=199)
    assert found.p_value == 1 / 200


# groups


def clustered(seed: int, groups: int, rows: int) -> Tensor:
    """Rows of a group share an offset, as the movements of a user do."""
    return normal(seed, groups, 2).repeat_interleave(rows, dim=0) + 0.3 * normal(seed + 500, groups * rows, 2)


# 60 tests of equal laws of groups: p <= 0.05 has probability 0.05, so more than 12 has probability 7e-6.
def test_dependent_rows_give_false_positives_without_groups() -> None:
    by_row, by_group, names = 0, 0, [k // 6 for k in range(60)]
    for k in range(60):
        pair = clustered(2 * k, 10, 6), clustered(2 * k + 1, 10, 6)
        others = [name + 10 for name in names]
        by_row += mmd_test(*pair, permutations=99).p_value <= 0.05
        by_group += mmd_test(*pair, real_groups=names, fake_groups=others, permutations=99).p_value <= 0.05
    assert by_row > 40
    assert by_group <= 12


# The same with one law per group, from which both sides are drawn: swapping blocks is exact (7e-6 as above).
def test_groups_of_both_sides_swap_their_blocks() -> None:
    names, rejected = [k // 6 for k in range(60)], 0
    for k in range(60):
        both = clustered(k, 10, 12).reshape(10, 2, 6, 2)
        pair = both[:, 0].reshape(60, 2), both[:, 1].reshape(60, 2)
        rejected += mmd_test(*pair, real_groups=names, fake_groups=names, permutations=99).p_value <= 0.05
    assert rejected <= 12
    shifted = clustered(3, 10, 6), clustered(3, 10, 6) + 1.5
    assert mmd_test(*shifted, real_groups=names, fake_groups=names, permutations=999).p_value <= 0.01


def test_relabellings_permute_blocks_and_reach_each_labelling_equally() -> None:
    """Groups 0 and 1 have both sides, 2 and 3 only real ones, 4 only fakes: 2 x 2 x 3 labellings.

    Counts of 2,400 samples have mean 200 and s.d. 13.5; limits are five standard deviations (false failure: 7e-6).
    """
    groups = np.array([0, 0, 1, 2, 2, 3, 0, 1, 1, 4])
    is_fake, rng = np.arange(10) >= 6, np.random.default_rng(0)
    drawn = Counter(tuple(mmd._relabelled(is_fake, groups, rng).tolist()) for _ in range(2400))
    expected = set()
    for swap_0 in (False, True):
        for swap_1 in (False, True):
            for fakes in (2, 3, 4):
                swapped, alone = {0: swap_0, 1: swap_1}, {2, 3, 4}
                pairs = zip(groups.tolist(), is_fake.tolist(), strict=True)
                expected.add(tuple(g == fakes if g in alone else f != swapped[g] for g, f in pairs))
    assert set(drawn) == expected
    assert all(abs(count - 200) < 68 for count in drawn.values())


# refusals


@pytest.mark.parametrize(("rows", "permutations"), [(mmd.TEST_ROWS - 10, 9), (20, 0)])
def test_too_many_rows_and_no_permutation_are_refused(rows: int, permutations: int) -> None:
    with pytest.raises(ValueError, match=f"but got {rows + 20} and {permutations}; test a seeded choice"):
        mmd_test(normal(1, 20, 1), normal(2, rows, 1), permutations=permutations)


def test_groups_of_one_sample_or_of_another_number_are_refused() -> None:
    pair, names = (normal(1, 9, 2), normal(2, 9, 2)), list(range(9))
    with pytest.raises(ValueError, match="but got `real_groups` alone"):
        mmd_test(*pair, real_groups=names)
    with pytest.raises(ValueError, match="one group per row"):
        mmd_test(*pair, real_groups=names, fake_groups=names[1:])


def test_blocks_that_leave_a_side_empty_are_refused() -> None:
    pair = normal(1, 9, 2), normal(2, 3, 2)
    with pytest.raises(ValueError, match=r"`rows of each side >= 2` after every relabelling"):
        mmd_test(*pair, real_groups=["a"] * 8 + ["b"], fake_groups=["c"] * 3)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_an_invalid_width_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma"):
        mmd_test(normal(1, 9, 2), normal(2, 9, 2), sigma)
