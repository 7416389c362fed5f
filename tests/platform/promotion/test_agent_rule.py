"""The promotion of agents: fewer failures are promoted, limits and margins one by one."""

import pytest

from platform.promotion.agent_rule import AgentLimitsConfig, AgentMarginsConfig, AgentRuleConfig
from platform.promotion.latency import Latency
from platform.promotion.rule import LATENCY, decide
from trainables.eval.intervals.jackknife import JackknifeEstimate
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.metric_names import VAL_REACH_FAILURE, VAL_REACH_SECONDS

RULE = AgentRuleConfig().rule(0.95)
LIMITS, MARGINS = AgentLimitsConfig(), AgentMarginsConfig()
GOOD = {VAL_REACH_FAILURE: 0.1, VAL_REACH_SECONDS: 0.6}
BETTER = {**GOOD, VAL_REACH_FAILURE: 0.05}
SAME_SPEED = Latency((0.1,) * 9, (0.1,) * 9)


def exact(figures: dict[str, float], groups: int = 8) -> EvaluationResult:
    """Return metrics that are the same whichever block of tasks is left out: their intervals have no width."""
    blocks = tuple(f"tasks {number}" for number in range(groups))
    clustered = {name: JackknifeEstimate(value, (value,) * groups) for name, value in figures.items()}
    return EvaluationResult("0" * 64, "agent", "holdout", "d" * 64, (1,), blocks, 40, clustered, {})


def broken(challenger: dict[str, float], champion: dict[str, float] | None, latency: Latency = SAME_SPEED) -> list[str]:
    decision = decide(exact(challenger), None if champion is None else exact(champion), latency, RULE)
    return [check.figure for check in decision.checks if not check.held]


def test_fewer_failures_are_promoted_and_as_many_are_not() -> None:
    assert broken(BETTER, GOOD) == []
    assert broken(GOOD, GOOD) == [VAL_REACH_FAILURE]


def test_an_agent_that_fails_too_often_is_no_champion() -> None:
    assert broken({**GOOD, VAL_REACH_FAILURE: LIMITS.reach_failure}, None) == []
    assert broken({**GOOD, VAL_REACH_FAILURE: LIMITS.reach_failure + 1e-6}, None) == [VAL_REACH_FAILURE]


@pytest.mark.parametrize(("step", "held"), [(-1e-6, []), (1e-6, [VAL_REACH_SECONDS])])
def test_the_time_may_be_longer_by_its_margin(step: float, held: list[str]) -> None:
    assert broken({**BETTER, VAL_REACH_SECONDS: 0.6 + MARGINS.reach_seconds + step}, GOOD) == held


def test_a_slow_one_is_refused() -> None:
    assert broken(GOOD, None, Latency((LIMITS.latency_ms_per_movement + 0.01,) * 9)) == [LATENCY]
    slow = Latency((0.1 * MARGINS.latency_ratio * 1.01,) * 9, (0.1,) * 9)
    assert broken(BETTER, GOOD, slow) == [LATENCY]
