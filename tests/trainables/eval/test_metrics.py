"""MMD, PRD and standardisation against their definitions in plain loops, with null and alternative."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.eval import metrics
from trainables.eval.features.feature_tables import equalise
from trainables.eval.metrics import (
    Standardised,
    c2st,
    density_coverage,
    median_distance,
    mmd_rbf,
    mmd_test,
    prd,
    precision_recall,
    standardise,
)
from trainables.eval.two_sample import mmd
from trainables.eval.two_sample.prd import cluster_histograms, max_f_score, prd_curve


def normal(seed: int, n: int, f: int, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    return shift + scale * torch.randn(n, f, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distance(a: list[float], b: list[float]) -> float:
    return math.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)))


def unbiased_mmd(real: Tensor, fake: Tensor, sigma: float) -> float:
    def mean_kernel(a: list[list[float]], b: list[list[float]], same: bool) -> float:
        pairs = [(p, q) for i, p in enumerate(a) for j, q in enumerate(b) if not (same and i == j)]
        return sum(math.exp(-(distance(p, q) ** 2) / (2 * sigma**2)) for p, q in pairs) / len(pairs)

    x, y = real.tolist(), fake.tolist()
    return mean_kernel(x, x, True) + mean_kernel(y, y, True) - 2 * mean_kernel(x, y, False)


@pytest.mark.parametrize("block", [1, 5, 19, 512])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_mmd_equals_the_double_loop_for_any_block_size(
    block: int, sigma: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mmd, "BLOCK", block)
    real, fake = normal(1, 19, 3), normal(2, 26, 3, shift=0.4)
    assert mmd_rbf(real, fake, sigma) == pytest.approx(unbiased_mmd(real, fake, sigma), abs=1e-13)


def test_mmd_far_from_the_origin_loses_no_digits() -> None:
    real, fake = normal(1, 40, 3), normal(2, 40, 3, shift=0.4)
    assert mmd_rbf(real + 1e6, fake + 1e6, 1.0) == pytest.approx(unbiased_mmd(real, fake, 1.0), abs=1e-8)


def test_mmd_is_symmetric_and_invariant_under_rotation() -> None:
    real, fake = normal(1, 60, 4), normal(2, 45, 4, shift=0.5)
    turn = torch.linalg.qr(normal(3, 4, 4)).Q
    assert mmd_rbf(fake, real) == pytest.approx(mmd_rbf(real, fake), abs=1e-13)
    assert mmd_rbf(real @ turn + 2, fake @ turn + 2) == pytest.approx(mmd_rbf(real, fake), abs=1e-12)


def test_without_sigma_it_is_the_median_distance_of_the_pooled_rows() -> None:
    real, fake = normal(1, 21, 3), normal(2, 14, 3, shift=1.0)
    rows = [*real.tolist(), *fake.tolist()]
    median = np.median([distance(p, q) for i, p in enumerate(rows) for q in rows[:i]])
    assert median_distance(torch.cat([real, fake])) == pytest.approx(median)
    assert mmd_rbf(real, fake) == pytest.approx(unbiased_mmd(real, fake, float(median)), abs=1e-13)


def test_the_median_of_many_rows_is_that_of_a_seeded_subsample() -> None:
    x = normal(1, 2 * mmd.MEDIAN_ROWS, 2)
    assert median_distance(x, seed=1) == median_distance(x, seed=1) != median_distance(x, seed=2)
    # |a - b|^2 / 2 is chi-squared with 2 degrees of freedom: median 2 log 2. The standard error is below 1 %.
    assert median_distance(x) == pytest.approx(math.sqrt(4 * math.log(2)), rel=0.04)


# 60 null values: their mean lies within four standard errors of zero (false-failure rate 1e-4), many are negative.
def test_mmd_is_unbiased_under_the_null_and_positive_under_the_alternative() -> None:
    null = [mmd_rbf(normal(2 * k, 40, 3), normal(2 * k + 1, 40, 3), 1.5) for k in range(60)]
    assert abs(np.mean(null)) < 4 * np.std(null) / math.sqrt(60)
    assert 15 < sum(value < 0 for value in null) < 55
    assert mmd_rbf(normal(1, 40, 3), normal(2, 40, 3, shift=0.7), 1.5) > max(null)
    assert mmd_rbf(normal(1, 40, 3), normal(2, 40, 3, scale=0.3), 1.5) > max(null)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_an_invalid_width_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma"):
        mmd_rbf(normal(1, 9, 2), normal(2, 9, 2), sigma)


def test_rows_that_are_all_equal_have_no_median_width() -> None:
    with pytest.raises(ValueError, match="sigma"):
        mmd_rbf(torch.ones(9, 2), torch.ones(9, 2))


def test_standardise_uses_the_real_rows_alone_and_names_the_constant_columns() -> None:
    real, fake = normal(1, 50, 3, shift=4, scale=3), normal(2, 20, 3, shift=9)
    real[:, 1] = fake[:, 1] = 7.0
    scaled = standardise(real, fake, real, columns=("a", "constant", "c"))
    assert scaled.left_out == ("constant",)
    for column, kept in enumerate((0, 2)):
        values = real[:, kept].tolist()
        centre = sum(values) / 50
        spread = math.sqrt(sum((v - centre) ** 2 for v in values) / 50)
        assert scaled.others[0][:, column].tolist() == pytest.approx(
            [(v - centre) / spread for v in fake[:, kept].tolist()]
        )
    assert torch.equal(scaled.others[1], scaled.real)


def test_a_column_that_is_constant_in_the_real_rows_alone_is_kept_and_named() -> None:
    real, fake = normal(1, 50, 3), normal(2, 20, 3)
    real[:, 1], fake[:, 1] = 1.0, 0.0
    scaled = standardise(real, fake, columns=("a", "constant", "c"))
    assert (scaled.left_out, scaled.degenerate) == ((), ("constant",))
    assert scaled.real[:, 1].unique().tolist() == [0.0]
    [value] = scaled.others[0][:, 1].unique().tolist()
    assert value == pytest.approx(-1 / math.sqrt(50 * 20 / 70**2))  # over the standard deviation of all rows


@pytest.mark.parametrize(
    "metric",
    [mmd_rbf, lambda a, b: mmd_test(a, b).statistic, prd, precision_recall, density_coverage, c2st, standardise],
    ids=["mmd_rbf", "mmd_test", "prd", "precision_recall", "density_coverage", "c2st", "standardise"],
)
def test_numpy_and_torch_give_the_same(metric: Callable[..., Any]) -> None:
    real, fake = normal(1, 90, 4), normal(2, 70, 4, shift=0.5)
    by_torch, by_numpy = metric(real, fake), metric(real.numpy(), fake.numpy())
    if isinstance(by_torch, Standardised):
        assert torch.equal(by_torch.real, by_numpy.real)
        assert torch.equal(by_torch.others[0], by_numpy.others[0])
    else:
        assert by_numpy == by_torch


def curve_by_angle(real: list[float], fake: list[float], angles: int) -> list[tuple[float, float]]:
    points = []
    for i in range(angles):
        slope = math.tan(1e-10 + (math.pi / 2 - 2e-10) * i / (angles - 1))
        precision = sum(min(slope * p, q) for p, q in zip(real, fake, strict=True))
        points.append((precision, precision / slope))
    return points


def best_f(points: list[tuple[float, float]], beta: float) -> float:
    return max((1 + beta**2) * p * r / (beta**2 * p + r) for p, r in points if p + r > 0)


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_and_its_summary_equal_their_definition(seed: int) -> None:
    real, fake = np.random.default_rng(seed).dirichlet([0.4] * 12, size=2)
    points = curve_by_angle(real.tolist(), fake.tolist(), 101)
    precision, recall = prd_curve(real, fake, 101)
    np.testing.assert_allclose(np.stack([precision, recall], axis=1), points, rtol=1e-6, atol=1e-9)
    for beta in (8.0, 1 / 8):
        assert max_f_score(precision, recall, beta) == pytest.approx(best_f(points, beta), rel=1e-6)


def test_prd_is_the_mean_curve_of_ten_seeded_clusterings_summarised() -> None:
    real, fake = normal(1, 120, 3), normal(2, 90, 3, shift=1.0)
    a, b = equalise(real.numpy(), fake.numpy(), 0)
    union = np.concatenate([real.numpy()[a], fake.numpy()[b]])
    curves = []
    for k in range(10):
        histograms = cluster_histograms(union, 90, 20, k)
        curves.append(curve_by_angle(histograms[0].tolist(), histograms[1].tolist(), 1001))
    points = [(sum(p for p, _ in at) / 10, sum(r for _, r in at) / 10) for at in zip(*curves, strict=True)]
    assert prd(real, fake) == pytest.approx((best_f(points, 1 / 8), best_f(points, 8)), rel=1e-6)


def modes(counts: list[int], seed: int) -> Tensor:
    """Tight clusters on a line, so far apart that no clustering can mistake them."""
    centres = torch.tensor([100.0 * k for k, count in enumerate(counts) for _ in range(count)], dtype=torch.float64)
    return centres[:, None] + 0.01 * normal(seed, len(centres), 1)


def test_histograms_of_separated_modes_are_their_shares() -> None:
    real, fake = modes([30, 10, 0], 1), modes([10, 10, 20], 2)
    p, q = cluster_histograms(torch.cat([real, fake]).numpy(), 40, 3, seed=0)
    assert sorted(zip(p.tolist(), q.tolist(), strict=True)) == [(0.0, 0.5), (0.25, 0.25), (0.75, 0.25)]


def test_a_dropped_mode_costs_recall_and_an_invented_one_precision() -> None:
    both, one = modes([50, 50], 1), modes([100, 0], 2)
    precision, recall = prd(both, one, clusters=2)
    assert precision > 0.97
    assert recall == pytest.approx(0.5, abs=0.02)
    assert prd(one, both, clusters=2) == pytest.approx((recall, precision), abs=1e-6)


# Equal distributions read 0.97 or more at 2 x 500 rows (binomial noise of 20 shares), disjoint ones 0.
def test_prd_is_near_one_for_equal_and_zero_for_disjoint_distributions() -> None:
    assert min(prd(normal(1, 500, 4), normal(2, 500, 4))) > 0.95
    assert max(prd(normal(1, 100, 4), normal(2, 100, 4, shift=100.0), clusters=2)) < 0.01


def test_prd_is_deterministic_and_uses_equal_numbers_of_rows() -> None:
    real, fake = normal(1, 300, 3), normal(2, 90, 3)
    assert prd(real, fake) == prd(real, fake)
    assert prd(real, fake, seed=1) != prd(real, fake)
    assert all(np.all(np.diff(rows) > 0) and len(rows) == 90 for rows in equalise(real.numpy(), fake.numpy(), 0))


def test_prd_falls_as_the_fakes_move_away() -> None:
    values = [prd(normal(1, 300, 3), normal(2, 300, 3, shift=shift)) for shift in (0.0, 1.0, 2.0, 4.0)]
    assert all(a[c] > b[c] for a, b in pairwise(values) for c in (0, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"clusters": 1}, "clusters"), ({"angles": 2}, "angles"), ({"clusterings": 0}, "clusterings")],
)
def test_invalid_counts_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prd(normal(1, 50, 2), normal(2, 50, 2), **options)


def test_fewer_rows_than_clusters_are_refused() -> None:
    with pytest.raises(ValueError, match="20 and 12"):
        prd(normal(1, 50, 2), normal(2, 12, 2))


@pytest.mark.parametrize("metric", [mmd_rbf, prd, metrics.c2st, standardise])
def test_a_non_finite_value_is_named_by_row_and_column(metric: object) -> None:
    fake = normal(2, 30, 3)
    fake[11, 2] = torch.nan
    with pytest.raises(ValueError, match="got nan in row 11, column 2"):
        metric(normal(1, 30, 3), fake)  # type: ignore[operator]


def test_the_stable_names_exist() -> None:
    assert all(hasattr(metrics, name) for name in metrics.__all__)
