"""Precision, recall, density and coverage against their definitions in plain loops, and what each is blind to."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.eval.features.feature_tables import equalise
from trainables.eval.metrics import density_coverage, precision_recall
from trainables.eval.two_sample import manifold

Metric = Callable[..., tuple[float, float]]
Points = list[list[float]]
both = pytest.mark.parametrize("metric", [precision_recall, density_coverage])


def normal(seed: int, n: int, f: int, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    return shift + scale * torch.randn(n, f, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def radii(points: Points, k: int) -> list[float]:
    return [sorted(math.dist(p, q) for j, q in enumerate(points) if j != i)[k - 1] for i, p in enumerate(points)]


def share_within(points: Points, centres: Points, k: int) -> float:
    reach = radii(centres, k)
    return sum(any(math.dist(p, c) <= r for c, r in zip(centres, reach, strict=True)) for p in points) / len(points)


def balls_held(real: Points, fake: Points, k: int) -> list[int]:
    return [sum(math.dist(x, y) <= r for y in fake) for x, r in zip(real, radii(real, k), strict=True)]


@pytest.mark.parametrize("block", [1, 7, 40, 512])
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_they_equal_their_definitions_for_any_block_size(
    block: int, k: int, shift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifold, "BLOCK", block)
    real, fake = normal(1, 40, 3), normal(2, 40, 3, shift, scale=0.8)
    x, y = real.tolist(), fake.tolist()
    assert precision_recall(real, fake, neighbours=k) == (share_within(y, x, k), share_within(x, y, k))
    held = balls_held(x, y, k)
    expected = sum(held) / (k * len(held)), sum(count > 0 for count in held) / len(held)
    assert density_coverage(real, fake, neighbours=k) == pytest.approx(expected, abs=1e-12)


def test_the_usual_neighbourhoods_are_three_and_five() -> None:
    real, fake = normal(1, 60, 3), normal(2, 60, 3, 0.5)
    assert precision_recall(real, fake) == precision_recall(real, fake, neighbours=3)
    assert density_coverage(real, fake) == density_coverage(real, fake, neighbours=5)


@both
def test_the_larger_sample_is_reduced_to_the_size_of_the_smaller(metric: Metric) -> None:
    real, fake = normal(1, 90, 3), normal(2, 50, 3)
    a, b = equalise(real.numpy(), fake.numpy(), 4)
    assert metric(real, fake, seed=4) == metric(real[torch.from_numpy(a)], fake[torch.from_numpy(b)])


@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_a_sample_against_itself_has_its_closed_balls_filled(offset: float) -> None:
    """Each ball holds its centre and k neighbours, the last of them on its rim."""
    x = normal(1, 80, 4) + offset
    assert precision_recall(x, x) == (1.0, 1.0)
    assert density_coverage(x, x) == pytest.approx(((5 + 1) / 5, 1.0))


def test_repeated_rows_have_balls_of_radius_zero_with_their_duplicates() -> None:
    x = normal(1, 20, 4).repeat(7, 1)
    assert precision_recall(x, x) == (1.0, 1.0)
    assert density_coverage(x, x) == pytest.approx((7 / 5, 1.0))


@both
def test_disjoint_samples_share_nothing(metric: Metric) -> None:
    assert metric(normal(1, 60, 4), normal(2, 60, 4, shift=50.0)) == (0.0, 0.0)


@both
def test_they_are_invariant_under_translation_and_scale(metric: Metric) -> None:
    real, fake = normal(1, 60, 4), normal(2, 60, 4, shift=0.5)
    assert metric(3 * real + 100, 3 * fake + 100) == pytest.approx(metric(real, fake), abs=1e-12)


def test_precision_and_recall_swap_with_the_samples() -> None:
    real, fake = normal(1, 60, 4), normal(2, 60, 4, shift=0.7, scale=0.6)
    assert precision_recall(fake, real) == precision_recall(real, fake)[::-1]


# Expected values for equal distributions: density k/k, coverage 1 - 2^-5 = 0.969. Over 300 pairs of 400 rows in two
# dimensions the s.d. are 0.026 and 0.013; limits are 4 s.d. (false-failure rate 1e-4).
def test_density_is_one_and_coverage_nearly_one_for_equal_distributions() -> None:
    density, coverage = density_coverage(normal(1, 400, 2), normal(2, 400, 2))
    assert density == pytest.approx(1.0, abs=0.105)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.053)


def test_a_dropped_mode_costs_recall_and_coverage_but_no_precision() -> None:
    both_modes = torch.cat([normal(1, 100, 3), normal(2, 100, 3, shift=20.0)])
    one_mode = normal(3, 200, 3)
    precision, recall = precision_recall(both_modes, one_mode)
    density, coverage = density_coverage(both_modes, one_mode)
    assert precision > 0.9
    assert density > 0.9
    assert 0.4 < recall < 0.55
    assert 0.4 < coverage < 0.52


def test_a_collapsed_variance_costs_recall_and_coverage() -> None:
    recalls, coverages = [], []
    for scale in (1.0, 0.6, 0.3, 0.1):
        fake = normal(2, 200, 4, scale=scale)
        recalls.append(precision_recall(normal(1, 200, 4), fake)[1])
        coverages.append(density_coverage(normal(1, 200, 4), fake)[1])
    assert recalls == sorted(recalls, reverse=True)
    assert coverages == sorted(coverages, reverse=True)
    assert recalls[-1] < 0.1 < 0.6 < recalls[0]
    assert coverages[-1] < 0.3 < 0.9 < coverages[0]


def test_real_outliers_raise_precision_but_hardly_density() -> None:
    """Four outliers of 200, as far from each other as from the rest: their balls are huge, but few."""
    outliers = 30 * torch.eye(4, dtype=torch.float64)
    human = torch.cat([normal(1, 196, 4), outliers])
    fake = normal(2, 200, 4, scale=0.5) + 8.0
    assert precision_recall(normal(1, 196, 4), fake)[0] == 0.0
    assert precision_recall(human, fake)[0] > 0.9
    assert density_coverage(human, fake)[0] < 1.0
    assert density_coverage(human, fake)[1] < 0.05


@both
@pytest.mark.parametrize("neighbours", [0, -1, 30])
def test_an_invalid_number_of_neighbours_is_refused(metric: Metric, neighbours: int) -> None:
    with pytest.raises(ValueError, match=f"neighbours={neighbours}"):
        metric(normal(1, 40, 2), normal(2, 30, 2), neighbours=neighbours)


@both
def test_a_non_finite_value_is_named(metric: Any) -> None:
    fake = normal(2, 30, 3)
    fake[11, 2] = torch.inf
    with pytest.raises(ValueError, match="got inf in row 11, column 2"):
        metric(normal(1, 30, 3), fake)
