"""The ratio of densities where it is known: its value, whatever the shares of the classes, its null and its bounds."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from trainables.core.config import ConfigError
from trainables.generation.selection.config import RatioConfig
from trainables.generation.selection.density_ratio import DensityRatio

Floats = npt.NDArray[np.float64]
CONFIG = RatioConfig(trees=60, folds=4)
USERS = 20


def owners(count: int) -> list[str]:
    return [f"user{row % USERS}" for row in range(count)]


def fitted(real: Floats, sampled: Floats, config: RatioConfig = CONFIG) -> DensityRatio:
    return DensityRatio.fit(real, sampled, owners(len(real)), owners(len(sampled)), config)


def table(random: np.random.Generator, count: int, mean: float) -> Floats:
    """One column that differs by its mean, and one that does not."""
    return random.normal(loc=(mean, 0.0), size=(count, 2))


@pytest.mark.parametrize(("real", "sampled"), [(1500, 1500), (1000, 4000)])
def test_log_ratios_of_two_normals_are_found_whatever_the_shares_of_the_classes(real: int, sampled: int) -> None:
    """log N(x; 1, 1) / N(x; 0, 1) = x - 1/2. Uncorrected shares would add log 4 = 1.39 in the second case.

    Over 30 seeds of the second case mean error, slope and AUC were 0.02 ± 0.05, 0.88 ± 0.07 and 0.747 ± 0.010 (standard
    deviations): each bound is over four of them away.
    """
    random = np.random.default_rng(1)
    ratio = fitted(table(random, real, 1.0), table(random, sampled, 0.0))
    x = np.linspace(-1.0, 2.0, 31)
    found = np.mean([ratio(np.stack([x, np.full_like(x, other)], axis=1)) for other in (-0.5, 0.0, 0.5)], axis=0)
    assert abs((found - (x - 0.5)).mean()) < 0.25
    assert 0.55 < np.polyfit(x, found, 1)[0] < 1.25
    assert 0.7 < ratio.auc < 0.8  # of two normals one apart, by the best classifier: 0.76


def test_without_a_difference_all_ratios_are_near_one() -> None:
    """Scores of users outside of the fit order nothing, so the calibration takes them back, to a slope near 0.

    Over 30 seeds the largest log ratio was 0.12 ± 0.17 and never over 0.62, the AUC 0.502 ± 0.013.
    """
    random = np.random.default_rng(2)
    ratio = fitted(table(random, 1000, 0.0), table(random, 4000, 0.0))
    assert np.abs(ratio(table(random, 500, 0.0))).max() < 1.2
    assert ratio.auc == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("max_ratio", [2.0, 50.0])
def test_no_ratio_leaves_its_bounds(max_ratio: float) -> None:
    random = np.random.default_rng(3)
    apart = RatioConfig(trees=60, folds=4, max_ratio=max_ratio)
    ratio = fitted(table(random, 400, 20.0), table(random, 400, 0.0), apart)
    bounds = ratio(np.array([[20.0, 0.0], [0.0, 0.0]]))
    assert bounds.tolist() == pytest.approx([math.log(max_ratio), -math.log(max_ratio)])


def test_a_ratio_of_tensors_gives_the_same_values() -> None:
    random = np.random.default_rng(4)
    ratio = fitted(table(random, 400, 1.0), table(random, 400, 0.0))
    rows = table(random, 50, 0.5)
    assert np.array_equal(DensityRatio.of_tensors(ratio.tensors())(rows), ratio(rows))


def test_fewer_users_than_folds_are_one_line() -> None:
    rows = np.zeros((6, 2))
    with pytest.raises(
        ConfigError, match=r"expected `training users of the source >= ratio.folds = 4`, but got 2 users"
    ):
        DensityRatio.fit(rows, rows, ["a", "b"] * 3, ["a", "b"] * 3, CONFIG)
