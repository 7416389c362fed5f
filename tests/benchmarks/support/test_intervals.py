"""Tests of Student's intervals over seeds."""

import math

import numpy as np
import pytest

from benchmarks.support.intervals import Interval, format_mean
from trainables.core.config import ConfigError

T975 = {1: 12.7062, 2: 4.3027, 4: 2.7764}  # from a printed table


@pytest.mark.parametrize("count", [2, 3, 5])
def test_an_interval_is_students(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count).tolist()
    mean = sum(values) / count
    variance = sum((value - mean) ** 2 for value in values) / (count - 1)
    found = Interval.over(values)
    assert found.mean == pytest.approx(mean)
    assert found.half_width == pytest.approx(T975[count - 1] * math.sqrt(variance / count), rel=1e-4)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_an_interval_holds_the_truth_in_95_percent_and_finds_a_shift(shift: float) -> None:
    """Allow 4.5 standard errors of the share, 0.0034 over 4,000 studies of 5 seeds: exceeded in 1 of 10^5.

    A shift of one standard deviation is within the interval of most such studies, but of fewer than 70 %.
    """
    studies = np.random.default_rng(0).normal(shift, 1.0, size=(4000, 5))
    found = [Interval.over(study.tolist()) for study in studies]
    held = np.mean([abs(each.mean) <= each.half_width for each in found])
    assert (abs(held - 0.95) < 0.0155) if shift == 0 else (0.4 < held < 0.7)


def test_one_value_has_no_interval() -> None:
    with pytest.raises(ConfigError, match="expected `seeds >= 2`, but got 1"):
        Interval.over([0.5])


def test_a_mean_is_printed_with_its_interval_and_one_value_alone() -> None:
    assert format_mean([0.4, 0.6]) == "0.500 [-0.771, 1.771]"
    assert format_mean([0.25]) == "0.250"
