"""Properties of scored movements: columns of one length, probabilities in [0, 1], and rows that stay together."""

from collections import Counter

import pytest
import torch

from tests.trainables.detector.scores import example_set, humans
from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.data.labels import HUMAN
from trainables.detector.evaluation.scored_movements import COLUMNS, ScoredMovements, balanced, joined


def test_humans_and_bots_are_separated_without_loss() -> None:
    both = example_set(0, users=3, each=4)
    assert (len(both.humans()), len(both.bots())) == (12, 36)
    assert both.is_bot.tolist() == [style != HUMAN for style in both.style]
    again = joined(both.humans(), both.bots())
    assert torch.equal(again.score, both.score)
    assert all(getattr(again, name) == getattr(both, name) for name in COLUMNS)


def test_rows_are_taken_with_all_columns() -> None:
    both = example_set(1, users=3, each=4)
    taken = both.take([40, 3, 17])
    for place, row in enumerate((40, 3, 17)):
        assert taken.score[place] == both.score[row]
        assert all(getattr(taken, name)[place] == getattr(both, name)[row] for name in COLUMNS)


def test_rows_are_chosen_by_any_column() -> None:
    both = example_set(2, users=3, each=4)
    assert set(both.where("style", ["sly", "clear"]).style) == {"sly", "clear"}
    assert len(both.where("family", ["plain"])) == 24
    assert len(both.where("source", ["nowhere"])) == 0


def test_a_session_is_a_user_or_a_style_under_the_conditions_of_one_user() -> None:
    both = example_set(3, users=2, each=2)
    assert both.humans().session == both.humans().group
    assert both.bots().session[0] == f"{both.bots().style[0]}/{both.bots().group[0]}"
    n = len(both.bots())
    own = ScoredMovements.of_bots(
        both.bots().score, both.bots().group, ["s"] * n, ["f"] * n, "file", session=["one"] * n
    )
    assert set(own.session) == {"one"}


def test_a_balanced_set_has_all_humans_and_as_many_bots_evenly_over_the_styles() -> None:
    both = example_set(4, users=5, each=7)
    found = balanced(both, generator(0, "balance"))
    assert torch.equal(found.humans().score, both.humans().score)
    assert sorted(Counter(found.bots().style).values()) == [11, 12, 12]
    assert len(set(found.bots().score.tolist())) == 35
    assert found.bots().style != balanced(both, generator(1, "balance")).bots().style
    few = joined(both.humans(), both.bots().take([3, 40]))
    assert len(balanced(few, generator(0, "balance"))) == 37


def test_invalid_columns_and_scores_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"of one length.*\[2, 3\]"):
        ScoredMovements.of_users(torch.rand(3), ["a", "b"], "lab")
    for bad in (1.5, -0.1, float("nan")):
        with pytest.raises(ConfigError, match=rf"0 <= score <= 1.*{bad} in row 1 \({HUMAN}\)"):
            ScoredMovements.of_users(torch.tensor([0.5, bad], dtype=torch.float64), ["a", "b"], "lab")
    assert humans(0, 2, 3).score.dtype == torch.float64
