"""Power of a decision: how often a challenger that is better by a gain passes the test of the headline.

With the standard error se of the difference, its degrees of freedom df and the level alpha, the test finds a gain with

    P(T > t_{df, 1 - alpha}),        T noncentral t of df degrees of freedom and noncentrality gain / se'

where se' = se if every user gains alike. If gains differ between users with standard deviation s, other users would
have given another mean gain: se'^2 = se^2 + s^2 / G_eff, with G_eff users of equal size. So far as the observed users
differ in their gains already, se holds a part of it and the power is stated too low, not too high.

References: Statistical Power Analysis for the Behavioral Sciences (Cohen, 1988), chapter 2.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trainables.eval.intervals.jackknife import Interval

GAINS = (0.02, 0.05, 0.1)  # of the headline, that a decision record states the power for


@dataclass(frozen=True)
class Power:
    """Power of the test of the headline.

    Attributes:
        gain: True mean gain over users.
        alike: Power where every user gains alike.
        differing: Power where gains differ between users, with a standard deviation as large as the mean gain.
    """

    gain: float
    alike: float
    differing: float


def powers(difference: Interval, alpha: float, effective_users: float, gains: Sequence[float] = GAINS) -> list[Power]:
    """Return the power for each gain, given the interval of the difference of which se and df are taken."""
    return [
        Power(
            gain,
            power(gain, difference.se, difference.df, alpha),
            power(gain, math.hypot(difference.se, gain / math.sqrt(effective_users)), difference.df, alpha),
        )
        for gain in gains
    ]


def power(gain: float, se: float, df: float, alpha: float) -> float:
    """Return the probability that a one-sided test at level `alpha` finds a gain; 1 for no standard error."""
    from scipy.stats import nct, t  # here: commands that decide nothing start faster without SciPy

    return 1.0 if se == 0 else float(nct.sf(t.ppf(1 - alpha, df), df, gain / se))
