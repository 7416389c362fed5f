"""Tests of Student's intervals over seeds, and over users and seeds."""

import math

import numpy as np
import pytest

from benchmarks.support.intervals import Interval, format_mean, over_users_and_seeds
from trainables.core.config import ConfigError
from trainables.eval.intervals.jackknife import JackknifeEstimate, interval

USERS, SEEDS = 12, 3
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


def mean_of(rows: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> JackknifeEstimate:
    """Mean over users, and without each."""
    without = (rows.sum() - rows) / (len(rows) - 1)
    return JackknifeEstimate(float(rows.mean()), tuple(without.tolist()))


def test_the_variance_over_users_and_seeds_is_the_sum_of_both() -> None:
    table = np.random.default_rng(0).normal(size=(SEEDS, USERS))
    found = over_users_and_seeds([mean_of(row) for row in table])
    of_users = table.mean(axis=0).var(ddof=1) / USERS
    of_seeds = table.mean(axis=1).var(ddof=1) / SEEDS
    assert found.value == pytest.approx(table.mean())
    assert found.se**2 == pytest.approx(of_users + of_seeds)
    df = (of_users + of_seeds) ** 2 / (of_users**2 / (USERS - 1) + of_seeds**2 / (SEEDS - 1))
    assert found.df == pytest.approx(df)


@pytest.mark.parametrize(("users", "seeds", "both"), [(1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0.3, 1), (0, 0, 1)])
def test_an_interval_over_users_and_seeds_holds_the_truth_and_finds_a_shift(
    users: float, seeds: float, both: float
) -> None:
    """At least 0.915 of 2,000 hold it, of a share of 0.937 or more: 4 standard errors below, 1 in 30,000 at the lowest.

    The lowest is that of equal variances of users and seeds, where the degrees of freedom are hardest to estimate. A
    shift of 20 standard errors is outside of nearly all intervals.
    """
    random = np.random.default_rng(0)
    held, missed = 0, 0
    for _ in range(2000):
        table = users * random.normal(size=USERS) + seeds * random.normal(size=(SEEDS, 1))
        table = table + both * random.normal(size=(SEEDS, USERS))
        found = over_users_and_seeds([mean_of(row) for row in table])
        shift = 20.0 * math.sqrt(users**2 / USERS + seeds**2 / SEEDS + both**2 / (SEEDS * USERS))
        held += found.low <= 0.0 <= found.high
        missed += found.low <= shift <= found.high
    assert held / 2000 > 0.915
    assert missed / 2000 < 0.05


def test_trainings_that_are_alike_have_the_interval_of_the_users() -> None:
    row = mean_of(np.arange(USERS, dtype=np.float64))
    found = over_users_and_seeds([row, row, row], within=(0.0, 6.0))
    alone = interval(row, within=(0.0, 6.0))
    assert [found.low, found.high] == pytest.approx([alone.low, alone.high])
    assert found.df == USERS - 1
    with pytest.raises(ConfigError, match="expected `seeds >= 2`, but got 1"):
        over_users_and_seeds([row])
