"""The promotion of critics: a champion better than distance can be improved on, limits and margins one by one."""

import pytest

from platform.promotion.critic_rule import CriticLimitsConfig, CriticMarginsConfig, CriticRuleConfig
from platform.promotion.latency import Latency
from platform.promotion.rule import LATENCY, decide
from trainables.eval.intervals.jackknife import JackknifeEstimate
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.metric_names import VAL_GOAL_LOSS, VAL_GOAL_SHORTFALL

RULE = CriticRuleConfig().rule(0.95)
LIMITS, MARGINS = CriticLimitsConfig(), CriticMarginsConfig()
GOOD = {VAL_GOAL_SHORTFALL: -0.05, VAL_GOAL_LOSS: 2.0}
BETTER = {**GOOD, VAL_GOAL_SHORTFALL: -0.1}
SAME_SPEED = Latency((0.1,) * 9, (0.1,) * 9)


def exact(figures: dict[str, float], groups: int = 8) -> EvaluationResult:
    """Return metrics that are the same whichever user is left out: their intervals have no width."""
    clustered = {name: JackknifeEstimate(value, (value,) * groups) for name, value in figures.items()}
    who = tuple(f"user {number}" for number in range(groups))
    return EvaluationResult("0" * 64, "critic", "holdout", "d" * 64, (1,), who, 40, clustered, {})


def broken(challenger: dict[str, float], champion: dict[str, float] | None, latency: Latency = SAME_SPEED) -> list[str]:
    decision = decide(exact(challenger), None if champion is None else exact(champion), latency, RULE)
    return [check.figure for check in decision.checks if not check.held]


def test_a_smaller_shortfall_is_promoted_also_where_both_are_below_0() -> None:
    assert broken(BETTER, GOOD) == []
    for shortfall in (-0.05, -0.04):
        assert broken({**GOOD, VAL_GOAL_SHORTFALL: shortfall}, GOOD) == [VAL_GOAL_SHORTFALL]


def test_a_champion_that_is_right_everywhere_where_the_baselines_never_are_cannot_be_improved_on() -> None:
    assert broken(BETTER, {**GOOD, VAL_GOAL_SHORTFALL: -1.0}) == [VAL_GOAL_SHORTFALL] * 2


def test_a_critic_less_accurate_than_distance_is_no_champion() -> None:
    assert broken({**GOOD, VAL_GOAL_SHORTFALL: LIMITS.goal_shortfall}, None) == []
    assert broken({**GOOD, VAL_GOAL_SHORTFALL: LIMITS.goal_shortfall + 1e-6}, None) == [VAL_GOAL_SHORTFALL]


@pytest.mark.parametrize(("step", "held"), [(-1e-6, []), (1e-6, [VAL_GOAL_LOSS])])
def test_infonce_may_be_larger_by_its_margin(step: float, held: list[str]) -> None:
    assert broken({**BETTER, VAL_GOAL_LOSS: 2.0 + MARGINS.goal_infonce + step}, GOOD) == held


def test_a_slow_one_is_refused() -> None:
    assert broken(GOOD, None, Latency((LIMITS.latency_ms_per_movement + 0.01,) * 9)) == [LATENCY]
    slow = Latency((0.1 * MARGINS.latency_ratio * 1.01,) * 9, (0.1,) * 9)
    assert broken(BETTER, GOOD, slow) == [LATENCY]
