"""Laws of sessions: what several movements add, what independence would promise, and thresholds of their own."""

from dataclasses import replace

import pytest
import torch

from tests.trainables.detector.scores import bots, people
from trainables.detector.evaluation.scored_movements import Scored, joined
from trainables.detector.evaluation.sessions import ALL, SessionFigures, SessionJudge, with_sessions
from trainables.eval.detection.calibration import Temperature
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.detection.session_fusion import fused
from trainables.eval.intervals.config import BootstrapConfig

ONE = Temperature(1.0, 0.5, 0.0, 0.0)
JUDGE = SessionJudge(ONE, 0.05, BootstrapConfig(replicates=100), 0)


def both(seed: int, own: float, persons: int = 40, each: int = 12) -> Scored:
    of_people = people(seed, persons, each, own=own)
    return joined(of_people, bots(seed, of_people, {"b": ("b", 1.0), "c": ("c", 1.0)}))


@pytest.fixture(scope="module")
def independent() -> SessionFigures:
    return JUDGE(both(1, 0.0), both(2, 0.0), (1, 3, 12), ["c"])


@pytest.fixture(scope="module")
def dependent() -> SessionFigures:
    return JUDGE(both(1, 1.0, persons=80), both(2, 1.0, persons=80), (1, 3, 12))


def test_a_verdict_is_the_fused_log_odds_above_the_threshold_of_fused_validation_people(
    independent: SessionFigures,
) -> None:
    validation, held_out = both(1, 0.0), both(2, 0.0)
    for row in independent.rows[:3]:
        on_people, on_bots, fixed_on = (
            fused(part.score, part.session, row.n, 0.5).log_odds
            for part in (held_out.people(), held_out.bots(), validation.people())
        )
        threshold = threshold_at_fpr(fixed_on, 0.05).value
        assert row.accused is not None
        assert row.caught is not None
        assert (row.accused.hits, row.accused.n) == (int((on_people > threshold).sum()), len(on_people))
        assert (row.caught.hits, row.caught.n) == (int((on_bots > threshold).sum()), len(on_bots))
        won = (on_bots[:, None] > on_people).double().mean().item()  # no ties
        assert row.auc.value == pytest.approx(won)


def test_more_movements_tell_more(independent: SessionFigures) -> None:
    areas = [row.auc.value for row in independent.rows if row.bots == ALL]
    assert areas == sorted(areas)
    assert areas[0] < 0.822 < areas[1] < 0.96 < areas[2]  # in theory 0.760, 0.890, 0.993; s.d. 0.013, 0.014, 0.005


def test_of_independent_movements_independence_promises_what_comes(independent: SessionFigures) -> None:
    """The s.d. of the difference is at most 0.007, of the correlation 0.019; 4.5 of them (7e-6)."""
    for row in independent.rows:
        assert row.auc_if_independent == pytest.approx(row.auc.value, abs=0.032)
    assert independent.people_correlation == pytest.approx(0.0, abs=0.085)


def test_of_alike_movements_it_promises_too_much_and_they_are_found_to_be_alike(dependent: SessionFigures) -> None:
    """Half of the variance is a person's own: 0.5 with a s.d. of 0.05 over 80 people. Areas 0.15 apart (s.d. 0.03)."""
    assert dependent.people_correlation == pytest.approx(0.5, abs=0.24)
    assert dependent.bots_correlation == pytest.approx(0.0, abs=0.06)
    first, _, last = dependent.rows
    assert first.auc_if_independent == pytest.approx(first.auc.value)
    assert last.auc_if_independent > last.auc.value


def test_a_style_has_rows_of_its_own(independent: SessionFigures) -> None:
    assert [(row.bots, row.n) for row in independent.rows] == [(name, n) for name in (ALL, "c") for n in (1, 3, 12)]
    assert independent.rows[3].caught is not None
    assert independent.rows[3].caught.n == 480


def test_movements_without_a_session_are_counted_and_too_long_sessions_left_out() -> None:
    found = JUDGE(both(1, 0.0), both(2, 0.0, persons=10, each=7), (1, 3, 12))
    assert [(row.n, row.people_unused, row.bots_unused) for row in found.rows] == [(1, 0, 0), (3, 10, 20)]


def test_without_validation_sessions_there_is_no_threshold() -> None:
    row = JUDGE(both(1, 0.0, each=2), both(2, 0.0), (3,)).rows[0]
    assert (row.accused, row.caught) == (None, None)
    assert row.auc.value > 0.5


def test_bots_of_one_movement_each_have_no_correlation() -> None:
    held_out = both(2, 0.0)
    alone = replace(held_out, session=tuple(f"{s} {k}" for k, s in enumerate(held_out.session)))
    found = JUDGE(both(1, 0.0), joined(held_out.people(), alone.bots()), (1,))
    assert found.bots_correlation is None
    assert found.people_correlation is not None


def test_a_temperature_weighs_all_movements_alike() -> None:
    """Log odds divided by T keep their order when they are summed at a prior of one half."""
    cool = SessionJudge(replace(ONE, value=2.5), 0.05, BootstrapConfig(replicates=100), 0)
    validation, held_out = both(1, 0.5), both(2, 0.5)
    one, other = (judge(validation, held_out, (3,)).rows[0] for judge in (JUDGE, cool))
    assert one.auc.value == pytest.approx(other.auc.value, abs=1e-9)
    assert one.caught == other.caught
    assert torch.isfinite(torch.tensor(one.auc.low))


def test_a_style_that_is_told_in_sessions_has_one_of_that_size() -> None:
    of_bots = both(2, 0.0, persons=10, each=7).bots()
    styles = sorted(set(of_bots.style))
    assert with_sessions(styles[::-1], of_bots, 7) == styles[::-1]
    assert with_sessions(styles, of_bots, 8) == []
    few = of_bots.take([row for row, style in enumerate(of_bots.style) if style != styles[0] or row % 7])
    assert with_sessions(styles, few, 7) == styles[1:]
