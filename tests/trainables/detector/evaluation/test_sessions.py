"""Properties of sessions: the gain by several movements, the comparison with independent ones, and their thresholds."""

from dataclasses import replace

import pytest
import torch

from tests.trainables.detector.scores import bots, humans
from trainables.detector.evaluation.scored_movements import ScoredMovements, joined
from trainables.detector.evaluation.sessions import ALL, SessionEvaluator, SessionMetrics, with_sessions
from trainables.eval.detection.calibration import Temperature
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.detection.session_fusion import fuse
from trainables.eval.intervals.config import BootstrapConfig

ONE = Temperature(1.0, 0.5, 0.0, 0.0)
EVALUATE = SessionEvaluator(ONE, 0.05, BootstrapConfig(replicates=100), 0)


def both(seed: int, own: float, users: int = 40, each: int = 12) -> ScoredMovements:
    of_users = humans(seed, users, each, own=own)
    return joined(of_users, bots(seed, of_users, {"b": ("b", 1.0), "c": ("c", 1.0)}))


@pytest.fixture(scope="module")
def independent() -> SessionMetrics:
    return EVALUATE(both(1, 0.0), both(2, 0.0), (1, 3, 12), ["c"])


@pytest.fixture(scope="module")
def dependent() -> SessionMetrics:
    return EVALUATE(both(1, 1.0, users=80), both(2, 1.0, users=80), (1, 3, 12))


def test_a_session_is_flagged_above_the_threshold_of_the_validation_sessions(
    independent: SessionMetrics,
) -> None:
    validation, held_out = both(1, 0.0), both(2, 0.0)
    for row in independent.rows[:3]:
        of_humans, of_bots, fitted_on = (
            fuse(part.score, part.session, row.n, 0.5).log_odds
            for part in (held_out.humans(), held_out.bots(), validation.humans())
        )
        threshold = threshold_at_fpr(fitted_on, 0.05).value
        assert row.flagged is not None
        assert row.detected is not None
        assert (row.flagged.hits, row.flagged.n) == (int((of_humans > threshold).sum()), len(of_humans))
        assert (row.detected.hits, row.detected.n) == (int((of_bots > threshold).sum()), len(of_bots))
        won = (of_bots[:, None] > of_humans).double().mean().item()  # no ties
        assert row.auc.value == pytest.approx(won)


def test_more_movements_raise_the_area(independent: SessionMetrics) -> None:
    areas = [row.auc.value for row in independent.rows if row.bots == ALL]
    assert areas == sorted(areas)
    assert areas[0] < 0.822 < areas[1] < 0.96 < areas[2]  # in theory 0.760, 0.890, 0.993; s.d. 0.013, 0.014, 0.005


def test_for_independent_movements_the_shuffled_area_is_equal(independent: SessionMetrics) -> None:
    """The s.d. of the difference is at most 0.007, of the correlation 0.019; 4.5 of them (7e-6)."""
    for row in independent.rows:
        assert row.auc_if_independent == pytest.approx(row.auc.value, abs=0.032)
    assert independent.human_correlation == pytest.approx(0.0, abs=0.085)


def test_for_dependent_movements_it_is_larger_and_the_correlation_is_recovered(dependent: SessionMetrics) -> None:
    """Half of the variance lies between users: 0.5 with a s.d. of 0.05 over 80 users. Areas 0.15 apart (s.d. 0.03)."""
    assert dependent.human_correlation == pytest.approx(0.5, abs=0.24)
    assert dependent.bots_correlation == pytest.approx(0.0, abs=0.06)
    first, _, last = dependent.rows
    assert first.auc_if_independent == pytest.approx(first.auc.value)
    assert last.auc_if_independent > last.auc.value


def test_a_style_has_its_own_rows(independent: SessionMetrics) -> None:
    assert [(row.bots, row.n) for row in independent.rows] == [(name, n) for name in (ALL, "c") for n in (1, 3, 12)]
    assert independent.rows[3].detected is not None
    assert independent.rows[3].detected.n == 480


def test_movements_without_a_session_are_counted_and_too_long_sessions_left_out() -> None:
    found = EVALUATE(both(1, 0.0), both(2, 0.0, users=10, each=7), (1, 3, 12))
    assert [(row.n, row.humans_unused, row.bots_unused) for row in found.rows] == [(1, 0, 0), (3, 10, 20)]


def test_without_validation_sessions_there_is_no_threshold() -> None:
    row = EVALUATE(both(1, 0.0, each=2), both(2, 0.0), (3,)).rows[0]
    assert (row.flagged, row.detected) == (None, None)
    assert row.auc.value > 0.5


def test_bots_of_one_movement_each_have_no_correlation() -> None:
    held_out = both(2, 0.0)
    alone = replace(held_out, session=tuple(f"{s} {k}" for k, s in enumerate(held_out.session)))
    found = EVALUATE(both(1, 0.0), joined(held_out.humans(), alone.bots()), (1,))
    assert found.bots_correlation is None
    assert found.human_correlation is not None


def test_a_temperature_keeps_the_order_of_sessions() -> None:
    """Log odds divided by T keep their order when they are summed at a prior of one half."""
    cool = SessionEvaluator(replace(ONE, value=2.5), 0.05, BootstrapConfig(replicates=100), 0)
    validation, held_out = both(1, 0.5), both(2, 0.5)
    one, other = (evaluate(validation, held_out, (3,)).rows[0] for evaluate in (EVALUATE, cool))
    assert one.auc.value == pytest.approx(other.auc.value, abs=1e-9)
    assert one.detected == other.detected
    assert torch.isfinite(torch.tensor(one.auc.low))


def test_a_style_with_sessions_has_one_of_that_size() -> None:
    of_bots = both(2, 0.0, users=10, each=7).bots()
    styles = sorted(set(of_bots.style))
    assert with_sessions(styles[::-1], of_bots, 7) == styles[::-1]
    assert with_sessions(styles, of_bots, 8) == []
    few = of_bots.take([row for row, style in enumerate(of_bots.style) if style != styles[0] or row % 7])
    assert with_sessions(styles, few, 7) == styles[1:]
