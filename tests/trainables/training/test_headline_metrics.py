"""Laws of the table of figures: every kind is in it, and what a search minimises is what is shown."""

import pytest

from search_spaces import SPACES, Space
from trainables.model_evaluation.reevaluate import EVALUATORS
from trainables.specs import TRAINABLES
from trainables.training.headline_metrics import (
    CRITERIA,
    DIGITS,
    FIGURES,
    ORDER,
    Criteria,
    digits,
    offset,
    shown_as,
    symbol,
    title,
)
from trainables.training.metric_names import (
    DIRECTIONS,
    MINIMISED,
    VAL_C2ST,
    VAL_C2ST_EXCESS,
    VAL_FNR_SEEN,
    VAL_FNR_WORST_UNSEEN,
    VAL_MMD,
)
from trainables.training.run_folder import best_epoch

EVERY_KIND = pytest.mark.parametrize("criteria", CRITERIA.values(), ids=CRITERIA.keys())


def test_every_trainable_is_judged_by_something() -> None:
    assert set(CRITERIA) == set(TRAINABLES)


def test_every_kind_of_checkpoint_can_be_judged_again() -> None:
    assert set(EVALUATORS) == {spec.model_type.name for spec in TRAINABLES.values()}


@EVERY_KIND
def test_its_figures_are_known_minimised_and_two_at_least(criteria: Criteria) -> None:
    """Smaller is better in all of them: rankings and leaderboards take them as they are."""
    assert len(set(criteria.figures)) == len(criteria.figures) >= 2
    assert all(name in FIGURES and DIRECTIONS[name] == MINIMISED for name in criteria.figures)
    assert (criteria.headline, criteria.second) == criteria.figures[:2]
    assert DIRECTIONS[criteria.objective] == MINIMISED
    assert shown_as(criteria.objective) == criteria.headline


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_a_space_minimises_the_objective_of_its_kind_and_breaks_ties_by_its_second_figure(space: Space) -> None:
    criteria = CRITERIA[space.trainable]
    assert (space.metric, space.tie_breaker) == (criteria.objective, criteria.second)


@pytest.mark.parametrize(("value", "excess"), [(0.75, 0.25), (0.5, 0.0)])
def test_an_excess_and_its_offset_are_the_figure(value: float, excess: float) -> None:
    chance = FIGURES[VAL_C2ST].chance
    assert chance is not None
    assert max(0.0, value - chance) == excess
    assert excess + offset(VAL_C2ST_EXCESS) == value
    assert [offset(name) for name in FIGURES] == [0.0] * len(FIGURES)


def test_a_metric_that_the_table_does_not_know_is_told_by_its_name() -> None:
    assert (title("val/x"), symbol("val/x"), digits("val/x"), shown_as("val/x")) == ("val/x", "val/x", DIGITS, "val/x")
    assert (title(VAL_MMD), symbol(VAL_MMD), symbol(VAL_C2ST)) == ("MMD", "MMD²", "C2ST")


def test_the_best_epoch_of_a_detector_misses_fewest_of_the_worst_family() -> None:
    lines = [{"epoch": epoch, VAL_FNR_WORST_UNSEEN: miss} for epoch, miss in enumerate([0.0, 0.5, 0.2, 0.2, 0.3])]
    assert best_epoch(lines) == 2
    never_unseen = [{"epoch": epoch, VAL_FNR_SEEN: miss} for epoch, miss in enumerate([0.0, 0.5, 0.3, 0.2])]
    assert best_epoch(never_unseen) == 3


def test_the_order_of_epochs_holds_every_objective() -> None:
    assert {criteria.objective for criteria in CRITERIA.values()} <= set(ORDER)
