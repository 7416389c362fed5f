"""Laws of a source's own threshold: fixed on some of its people, measured on others, and its price told."""

import pytest

from tests.trainables.detector.scores import bots, people
from trainables.detector.evaluation.per_source_thresholds import OwnThreshold, halves, own_thresholds
from trainables.detector.evaluation.scored_movements import Scored, joined
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.intervals.config import BootstrapConfig

CONFIG = BootstrapConfig(replicates=100)
LAB = people(1, persons=20, each=30, own=0.0)
USUAL = threshold_at_fpr(LAB.score, 0.05)
BOTS = bots(1, LAB)


def told(*others: Scored) -> tuple[OwnThreshold, ...]:
    return own_thresholds(joined(LAB, BOTS, *others), USUAL, {"lab"}, CONFIG, 0)


def test_it_is_fixed_on_half_of_the_people_and_measured_on_the_others() -> None:
    shifted = people(2, persons=10, each=30, source="elsewhere", shift=1.5, own=0.0)
    [found] = told(shifted)
    one, other = halves(shifted.group)
    fixed = threshold_at_fpr(shifted.where("group", one).score, 0.05)
    assert found.fixed == fixed
    above = sum(score > fixed.value for score in shifted.where("group", other).score.tolist())
    assert found.accused is not None
    assert (found.accused.hits, found.accused.n, found.accused.groups) == (above, 150, 5)
    assert (found.source, found.people) == ("elsewhere", 10)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_it_accuses_as_many_as_asked_where_the_usual_one_does_not(shift: float) -> None:
    """Of 600 a share of 0.05 has a s.d. of 0.009, and so has that of the 600 it is fixed on: 4.5 of both, 0.057.

    At a shift of 1.5 s.d. the usual threshold, at 1.64, accuses 0.44 (s.d. 0.02).
    """
    shifted = people(3, persons=40, each=30, source="elsewhere", shift=shift, own=0.0)
    [found] = told(shifted)
    assert found.accused is not None
    assert found.accused.value == pytest.approx(0.05, abs=0.057)
    usually = (shifted.score > USUAL.value).double().mean().item()
    assert (usually > 0.3) == (shift > 0)


def test_its_price_is_the_bots_that_it_lets_through() -> None:
    [found] = told(people(2, persons=10, each=30, source="elsewhere", shift=1.5, own=0.0))
    assert found.fixed is not None
    assert found.caught is not None
    assert found.caught_usually is not None
    for share, value in ((found.caught, found.fixed.value), (found.caught_usually, USUAL.value)):
        assert (share.hits, share.n) == (sum(score > value for score in BOTS.score.tolist()), len(BOTS))
    assert found.caught.high < found.caught_usually.low


def test_of_one_person_none_can_be_told() -> None:
    assert told(people(2, persons=1, each=30, source="alone")) == (OwnThreshold("alone", 1),)


def test_sources_that_the_usual_threshold_is_from_have_none_of_their_own() -> None:
    assert told() == ()
    both = told(*(people(2, persons=4, each=9, source=source) for source in ("other", "another")))
    assert [found.source for found in both] == ["another", "other"]


def test_halves_share_no_group_and_are_as_even_as_the_largest_group_lets_them() -> None:
    groups = ["a"] * 10 + ["b"] * 6 + ["c"] * 5 + ["d"] * 3
    assert halves(groups) == ({"a", "d"}, {"b", "c"})
    assert halves(groups[::-1]) == halves(groups)
    assert halves(["a", "a"]) == ({"a"}, set())
