"""Condition errors against plain loops: obedience reads 0, deafness what independence makes of it."""

import math
from statistics import mean, median

import pytest
import torch
from torch import Tensor

from trainables.eval.generation.condition_error import condition_errors

NAMES = ("duration", "distance", "turning")
STD = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)


def drawn(seed: int, n: int) -> Tensor:
    return STD * torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 4.0


def pearson(x: list[float], y: list[float]) -> float:
    a, b = mean(x), mean(y)
    covariance = sum((p - a) * (q - b) for p, q in zip(x, y, strict=True))
    return covariance / math.sqrt(sum((p - a) ** 2 for p in x) * sum((q - b) ** 2 for q in y))


@pytest.mark.parametrize("n", [2, 20, 21])
def test_each_column_has_its_defined_errors(n: int) -> None:
    requested, produced = drawn(1, n), drawn(2, n)
    for i, found in enumerate(condition_errors(requested, produced, STD, NAMES)):
        x, y = requested[:, i].tolist(), produced[:, i].tolist()
        errors = [q - p for p, q in zip(x, y, strict=True)]
        assert found.name == NAMES[i]
        assert found.median_absolute == pytest.approx(median(map(abs, errors)))
        assert found.bias == pytest.approx(mean(errors))
        assert found.median_absolute_sd == pytest.approx(found.median_absolute / STD[i].item())
        assert found.bias_sd == pytest.approx(found.bias / STD[i].item())
        assert found.correlation == pytest.approx(pearson(x, y))


def test_exact_conditions_have_no_error_and_full_correlation() -> None:
    for found in condition_errors(drawn(1, 50), drawn(1, 50), STD, NAMES):
        assert (found.median_absolute, found.bias) == (0.0, 0.0)
        assert found.correlation == pytest.approx(1.0)


def test_a_constant_excess_is_bias_and_keeps_the_correlation() -> None:
    found = condition_errors(drawn(1, 50), drawn(1, 50) + 0.5, STD, NAMES)[1]
    assert found.bias == pytest.approx(0.5)
    assert found.bias_sd == pytest.approx(0.25)
    assert found.median_absolute == pytest.approx(0.5)
    assert found.correlation == pytest.approx(1.0)


# The difference of two independent standard normals has a median absolute value of 0.954; over 4,000 rows its s.d. is
# 0.018, and that of the correlation 0.016. Limits are four standard deviations (false-failure rate of six reads: 4e-4).
def test_ignored_conditions_have_the_error_of_independent_ones() -> None:
    for found in condition_errors(drawn(1, 4000), drawn(2, 4000), STD, NAMES):
        assert found.median_absolute_sd == pytest.approx(0.954, abs=0.072)
        assert found.correlation == pytest.approx(0.0, abs=0.064)


def test_a_column_that_does_not_vary_has_no_correlation() -> None:
    produced = drawn(2, 10)
    produced[:, 2] = 1.0
    found = condition_errors(drawn(1, 10), produced, STD, NAMES)
    assert [error.correlation is None for error in found] == [False, False, True]


def test_a_value_that_is_not_finite_is_named() -> None:
    produced = drawn(2, 10)
    produced[7, 1] = torch.nan
    with pytest.raises(ValueError, match="got nan in row 7, column distance"):
        condition_errors(drawn(1, 10), produced, STD, NAMES)


@pytest.mark.parametrize("std", [0.0, -1.0, math.nan, math.inf])
def test_an_invalid_standard_deviation_is_refused(std: float) -> None:
    with pytest.raises(ValueError, match="expected `std` to be positive"):
        condition_errors(drawn(1, 10), drawn(2, 10), torch.tensor([1.0, std, 1.0]), NAMES)


def test_mismatched_shapes_and_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"to be .* but got \[10, 3\], \[10, 3\] and 2"):
        condition_errors(drawn(1, 10), drawn(2, 10), torch.ones(2), NAMES)
    with pytest.raises(ValueError, match=r"to be .* but got \[10, 3\], \[9, 3\] and 3"):
        condition_errors(drawn(1, 10), drawn(2, 9), STD, NAMES)
    with pytest.raises(ValueError, match="3 columns, but got 2 names"):
        condition_errors(drawn(1, 10), drawn(2, 10), STD, NAMES[:2])
