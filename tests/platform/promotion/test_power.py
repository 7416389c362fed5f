"""The stated power is the share of simulated decisions that find a gain."""

import math

import numpy as np
import pytest

from platform.promotion.power import power, powers
from trainables.eval.intervals.jackknife import Interval, JackknifeEstimate, interval

USERS, SD, GAIN, DECISIONS = 20, 0.2, 0.1, 2000


@pytest.mark.parametrize("differing", [0.0, 1.0])
def test_the_power_is_the_share_of_decisions_that_find_the_gain(differing: float) -> None:
    """Means of 20 users; 2,000 decisions, 4 s.d. of a share are at most 0.045 (false failure 6e-5)."""
    rng, found = np.random.default_rng(3), 0
    for _ in range(DECISIONS):
        users = rng.normal(0.0, SD, USERS) - rng.normal(GAIN, differing * GAIN, USERS)
        without = (users.sum() - users) / (USERS - 1)
        found += interval(JackknifeEstimate(float(users.mean()), tuple(without.tolist())), 0.9).high < 0
    known = Interval(0.0, SD / math.sqrt(USERS), 0.0, 0.0, USERS - 1)
    stated = powers(known, 0.05, USERS, gains=(GAIN,))[0]
    assert found / DECISIONS == pytest.approx(stated.differing if differing else stated.alike, abs=0.045)


def test_without_a_gain_it_is_the_level_and_gains_that_differ_lower_it() -> None:
    assert power(0.0, 0.1, 19, 0.05) == pytest.approx(0.05)
    assert power(0.1, 0.0, 19, 0.05) == 1.0
    for one in powers(Interval(0.0, 0.03, 0.0, 0.0, 19), 0.05, USERS):
        assert 0.05 < one.differing < one.alike
