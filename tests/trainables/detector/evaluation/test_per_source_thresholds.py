"""Properties of thresholds per source: fitted on some users, tested on others, with their cost in TPR."""

import pytest

from tests.trainables.detector.scores import bots, humans
from trainables.detector.evaluation.per_source_thresholds import SourceThreshold, halves, source_thresholds
from trainables.detector.evaluation.scored_movements import ScoredMovements, joined
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.intervals.config import BootstrapConfig

CONFIG = BootstrapConfig(replicates=100)
LAB = humans(1, users=20, each=30, own=0.0)
DEFAULT = threshold_at_fpr(LAB.score, 0.05)
BOTS = bots(1, LAB)


def thresholds(*others: ScoredMovements) -> tuple[SourceThreshold, ...]:
    return source_thresholds(joined(LAB, BOTS, *others), DEFAULT, {"lab"}, CONFIG, 0)


def test_it_is_fitted_on_half_of_the_users_and_tested_on_the_others() -> None:
    shifted = humans(2, users=10, each=30, source="elsewhere", shift=1.5, own=0.0)
    [found] = thresholds(shifted)
    one, other = halves(shifted.group)
    fitted = threshold_at_fpr(shifted.where("group", one).score, 0.05)
    assert found.threshold == fitted
    above = sum(score > fitted.value for score in shifted.where("group", other).score.tolist())
    assert found.flagged is not None
    assert (found.flagged.hits, found.flagged.n, found.flagged.users) == (above, 150, 5)
    assert (found.source, found.users) == ("elsewhere", 10)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_it_keeps_the_target_fpr_where_the_default_threshold_does_not(shift: float) -> None:
    """Of 600 a share of 0.05 has a s.d. of 0.009, and so has that of the 600 it is fitted on: 4.5 of both, 0.057.

    At a shift of 1.5 s.d. the default threshold, at 1.64, flags 0.44 (s.d. 0.02).
    """
    shifted = humans(3, users=40, each=30, source="elsewhere", shift=shift, own=0.0)
    [found] = thresholds(shifted)
    assert found.flagged is not None
    assert found.flagged.value == pytest.approx(0.05, abs=0.057)
    at_default = (shifted.score > DEFAULT.value).double().mean().item()
    assert (at_default > 0.3) == (shift > 0)


def test_its_cost_is_a_lower_tpr() -> None:
    [found] = thresholds(humans(2, users=10, each=30, source="elsewhere", shift=1.5, own=0.0))
    assert found.threshold is not None
    assert found.detected is not None
    assert found.detected_at_default is not None
    for tpr, value in ((found.detected, found.threshold.value), (found.detected_at_default, DEFAULT.value)):
        assert (tpr.hits, tpr.n) == (sum(score > value for score in BOTS.score.tolist()), len(BOTS))
    assert found.detected.high < found.detected_at_default.low


def test_one_user_has_no_threshold() -> None:
    assert thresholds(humans(2, users=1, each=30, source="alone")) == (SourceThreshold("alone", 1),)


def test_the_sources_of_the_default_threshold_have_no_threshold_of_their_own() -> None:
    assert thresholds() == ()
    both = thresholds(*(humans(2, users=4, each=9, source=source) for source in ("other", "another")))
    assert [found.source for found in both] == ["another", "other"]


def test_halves_share_no_group_and_are_as_even_as_the_largest_group_lets_them() -> None:
    groups = ["a"] * 10 + ["b"] * 6 + ["c"] * 5 + ["d"] * 3
    assert halves(groups) == ({"a", "d"}, {"b", "c"})
    assert halves(groups[::-1]) == halves(groups)
    assert halves(["a", "a"]) == ({"a"}, set())
