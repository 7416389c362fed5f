"""The alpha budget: equal challengers together stay at it, and every decision against a champion counts."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from platform.promotion.alpha_budget import AlphaBudget, decisions_against
from platform.promotion.config import PromoteConfig
from trainables.core.config import ConfigError
from trainables.eval.intervals.jackknife import JackknifeEstimate, difference, interval
from trainables.model_registry.registry import DECISION, DECISIONS, HISTORY, Registry

BUDGET = PromoteConfig().budget
USERS, CHALLENGERS, REIGNS = 20, 10, 1000


def test_the_levels_of_all_decisions_sum_to_no_more_than_the_budget() -> None:
    whole = AlphaBudget(0.1, 0.49)
    assert whole.spent(100_000) == pytest.approx(0.1, abs=1e-6)
    assert whole.spent(100_000) < 0.1
    assert BUDGET.spent(100_000) < BUDGET.total
    assert BUDGET.level(1) == pytest.approx(0.05)
    levels = [BUDGET.level(number) for number in range(1, 50)]
    assert levels == sorted(levels, reverse=True)


def mean_of(users: np.ndarray[Any, Any]) -> JackknifeEstimate:
    return JackknifeEstimate(float(users.mean()), tuple(((users.sum() - users) / (USERS - 1)).tolist()))


def false_champions(budget: AlphaBudget | None, gain: float = 0.0) -> float:
    """Return the share of champions that one of ten challengers replaces; all are compared on the same users."""
    rng, replaced = np.random.default_rng(0), 0
    for _ in range(REIGNS):
        hard, champion = rng.normal(size=USERS), rng.normal(size=USERS)
        theirs = mean_of(hard + champion)
        for number in range(1, CHALLENGERS + 1):
            alpha = 0.05 if budget is None else budget.level(number)
            apart = difference(mean_of(hard + rng.normal(-gain, 1.0, USERS)), theirs)
            if interval(apart, 1 - 2 * alpha).high < 0:
                replaced += 1
                break
    return replaced / REIGNS


def test_ten_equal_challengers_together_stay_at_the_budget() -> None:
    """At most 0.1, plus 4 s.d. of 1,000 champions (false failure 3e-5). Each at 0.05 they replace more than 0.2."""
    assert false_champions(BUDGET) < 0.1 + 4 * math.sqrt(0.1 * 0.9 / REIGNS)
    assert false_champions(None) > 0.2


def test_much_better_challengers_are_found_all_the_same() -> None:
    """Alternative: two standard deviations of a user are more than six standard errors."""
    assert false_champions(BUDGET, gain=2.0) > 0.99


def write(folder: Path, champion: str | None, checks: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True)
    sides = {"champion": None if champion is None else {"id": "0001-abc", "weights_sha256": champion}}
    (folder / DECISION).write_text(json.dumps({**sides, "checks": checks}))


def test_every_comparison_with_a_champion_counts(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    assert decisions_against(registry, "w1") == 0
    write(tmp_path / HISTORY / "0001-aaaaaaaaaaaa", None, [{}])
    write(tmp_path / HISTORY / "0002-bbbbbbbbbbbb", "w1", [{}])
    write(tmp_path / DECISIONS / "1-refused", "w1", [{}])
    write(tmp_path / DECISIONS / "2-refused", "w2", [{}])
    write(tmp_path / DECISIONS / "3-refused", "w1", [])  # the champion itself: nothing was compared
    assert (decisions_against(registry, "w1"), decisions_against(registry, "w2")) == (2, 1)
    (tmp_path / DECISIONS / "2-refused" / DECISION).write_text("damage")
    assert decisions_against(registry, "w1") == 3  # it may have been one


def test_the_line_says_what_is_spent_and_how_sure_the_next_has_to_be() -> None:
    line = AlphaBudget(0.1, 0.05).describe("0001-abc", 2)
    assert line == (
        "alpha budget against 0001-abc: 2 decision(s), 0.0652 of 0.1 spent; the next is made with 99.32 % confidence"
    )


@pytest.mark.parametrize("wrong", [0.0, 0.5, math.nan])
def test_a_budget_of_no_sense_is_refused(wrong: float) -> None:
    with pytest.raises(ConfigError, match=r"`0 < alpha_budget < 0\.5`"):
        PromoteConfig(alpha_budget=wrong)
