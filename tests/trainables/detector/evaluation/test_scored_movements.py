"""Laws of scored movements: one length, honest probabilities, and rows that keep together."""

from collections import Counter

import pytest
import torch

from tests.trainables.detector.scores import judged_set, people
from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.data.labels import HUMAN
from trainables.detector.evaluation.scored_movements import TOLD, Scored, balanced, joined


def test_people_and_bots_are_told_apart_and_nothing_is_lost() -> None:
    both = judged_set(0, persons=3, each=4)
    assert (len(both.people()), len(both.bots())) == (12, 36)
    assert both.is_bot.tolist() == [style != HUMAN for style in both.style]
    again = joined(both.people(), both.bots())
    assert torch.equal(again.score, both.score)
    assert all(getattr(again, name) == getattr(both, name) for name in TOLD)


def test_rows_are_taken_with_all_that_is_told_of_them() -> None:
    both = judged_set(1, persons=3, each=4)
    taken = both.take([40, 3, 17])
    for place, row in enumerate((40, 3, 17)):
        assert taken.score[place] == both.score[row]
        assert all(getattr(taken, name)[place] == getattr(both, name)[row] for name in TOLD)


def test_rows_are_chosen_by_any_column() -> None:
    both = judged_set(2, persons=3, each=4)
    assert set(both.where("style", ["sly", "clear"]).style) == {"sly", "clear"}
    assert len(both.where("family", ["plain"])) == 24
    assert len(both.where("source", ["nowhere"])) == 0


def test_a_session_is_a_person_or_a_style_under_one_persons_conditions() -> None:
    both = judged_set(3, persons=2, each=2)
    assert both.people().session == both.people().group
    assert both.bots().session[0] == f"{both.bots().style[0]}/{both.bots().group[0]}"
    n = len(both.bots())
    own = Scored.of_bots(both.bots().score, both.bots().group, ["s"] * n, ["f"] * n, "file", session=["one"] * n)
    assert set(own.session) == {"one"}


def test_balanced_it_is_all_people_and_as_many_bots_evenly_over_the_styles() -> None:
    both = judged_set(4, persons=5, each=7)
    found = balanced(both, generator(0, "balance"))
    assert torch.equal(found.people().score, both.people().score)
    assert sorted(Counter(found.bots().style).values()) == [11, 12, 12]
    assert len(set(found.bots().score.tolist())) == 35
    assert found.bots().style != balanced(both, generator(1, "balance")).bots().style
    few = joined(both.people(), both.bots().take([3, 40]))
    assert len(balanced(few, generator(0, "balance"))) == 37


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"of one length.*\[2, 3\]"):
        Scored.of_people(torch.rand(3), ["a", "b"], "lab")
    for bad in (1.5, -0.1, float("nan")):
        with pytest.raises(ConfigError, match=rf"0 <= score <= 1.*{bad} in row 1 \({HUMAN}\)"):
            Scored.of_people(torch.tensor([0.5, bad], dtype=torch.float64), ["a", "b"], "lab")
    assert people(0, 2, 3).score.dtype == torch.float64
