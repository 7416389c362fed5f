"""The promotion rule: equals pass at most as often as stated, better challengers always, worse ones never."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, t

from platform.promotion.latency import Latency
from platform.promotion.rule import LATENCY, Decision, LimitsConfig, MarginsConfig, Rule, decide, to_json
from trainables.core.config import ConfigError
from trainables.eval.intervals.jackknife import JackknifeEstimate
from trainables.model_evaluation.result import EvaluationResult
from trainables.training import metric_names as names

GROUPS = 8
GOOD = {
    names.VAL_AUC_EXCESS: 0.1,
    names.VAL_MMD: 0.02,
    names.VAL_PRECISION: 0.85,
    names.VAL_RECALL: 0.8,
    names.VAL_MEMORISED_SHARE: 0.004,
}
MARGINS = {
    names.VAL_MMD: MarginsConfig().mmd,
    names.VAL_PRECISION: -MarginsConfig().precision,  # the larger the better
    names.VAL_RECALL: -MarginsConfig().recall,
    names.VAL_MEMORISED_SHARE: MarginsConfig().memorised_share,
}
SAME_SPEED = Latency((10.0,) * 9, (10.0,) * 9)


def clustered(rows: Sequence[Sequence[float]]) -> JackknifeEstimate:
    """The mean over all rows of all groups, and without each group, in plain loops."""

    def mean_without(left_out: int) -> float:
        kept = [value for group, values in enumerate(rows) if group != left_out for value in values]
        return math.fsum(kept) / len(kept)

    return JackknifeEstimate(mean_without(-1), tuple(mean_without(group) for group in range(len(rows))))


def evaluation(figures: Mapping[str, JackknifeEstimate], groups: int = GROUPS) -> EvaluationResult:
    who = tuple(f"user {number}" for number in range(groups))
    by_seed = {name: (figure.value,) for name, figure in figures.items()}
    return EvaluationResult("0" * 64, "diffusion", "holdout", "d" * 64, (1,), who, 40, dict(figures), by_seed)


def exact(figures: Mapping[str, float], groups: int = GROUPS) -> EvaluationResult:
    """Return metrics that are the same whichever user is left out: their intervals have no width."""
    return evaluation({name: JackknifeEstimate(value, (value,) * groups) for name, value in figures.items()}, groups)


def drawn(
    rng: np.random.Generator, change: Mapping[str, float], sizes: Sequence[int]
) -> tuple[EvaluationResult, EvaluationResult]:
    """Return a challenger and a champion whose true metrics differ by `change`.

    A row of a user is the true metric, plus an effect of the user on both sides, plus one on one side, plus noise.
    """
    sides: tuple[dict[str, JackknifeEstimate], dict[str, JackknifeEstimate]] = ({}, {})
    for name, truth in GOOD.items():
        scale = 0.05 if name in (names.VAL_AUC_EXCESS, names.VAL_PRECISION, names.VAL_RECALL) else 0.01
        common = rng.normal(0, scale / 4, len(sizes))
        for side, shift in zip(sides, (change.get(name, 0.0), 0.0), strict=True):
            user = common + rng.normal(0, scale / 20, len(sizes))
            rows = [rng.normal(truth + shift + user[g], scale, size).tolist() for g, size in enumerate(sizes)]
            side[name] = clustered(rows)
    return evaluation(sides[0]), evaluation(sides[1])


def promotions(change: Mapping[str, float], draws: int, sizes: Sequence[int] = (20,) * GROUPS) -> int:
    rng = np.random.default_rng(20240)
    return sum(decide(*drawn(rng, change, sizes), SAME_SPEED, Rule()).promoted for _ in range(draws))


def likely(draws: int, share: float) -> range:
    """Counts that a binomial law leaves with 1 in 10,000, half of it on either side."""
    return range(int(binom.ppf(5e-5, draws, share)), int(binom.ppf(1 - 5e-5, draws, share)) + 1)


def test_an_equal_challenger_is_promoted_in_one_case_of_twenty() -> None:
    """Normal means of groups of equal size: the test is exact. Fails falsely once in 10,000 seeds."""
    assert promotions({}, 400) in likely(400, 0.05)


def test_groups_of_unequal_size_do_not_let_many_more_equals_through() -> None:
    """10 to 80 rows, where a two-sided interval of 95 % covers 0.936 to 0.947: at most 8 % then pass this bound."""
    assert promotions({}, 400, (10, 12, 15, 20, 25, 30, 50, 80)) < likely(400, 0.08).stop


def test_a_clearly_better_challenger_is_always_promoted() -> None:
    """A gain of 0.1 is 17 standard errors and every margin 8 or more: of a million draws none should fail."""
    assert promotions({names.VAL_AUC_EXCESS: -0.1}, 100) == 100


@pytest.mark.parametrize("name", MARGINS)
def test_one_that_is_worse_by_just_the_margin_passes_in_at_most_one_case_of_twenty(name: str) -> None:
    """The edge of what may not pass, with an excess that is sure to: fails falsely once in 10,000 seeds."""
    assert promotions({names.VAL_AUC_EXCESS: -0.2, name: MARGINS[name]}, 300) in likely(300, 0.05)


@pytest.mark.parametrize("name", MARGINS)
def test_one_that_is_better_in_the_headline_and_worse_in_one_figure_is_refused_for_that_figure(name: str) -> None:
    worse = exact({**GOOD, names.VAL_AUC_EXCESS: 0.05, name: GOOD[name] + 1.5 * MARGINS[name]})
    decision = decide(worse, exact(GOOD), SAME_SPEED, Rule())
    assert failed(decision) == [name]
    assert decision.reason.startswith(f"{name}: expected `upper 95 % bound of")
    off = abs(MARGINS[name]) / 2
    assert decision.reason.endswith(f"off by {off:.4f}")


def failed(decision: Decision) -> list[str]:
    assert decision.promoted == all(check.held for check in decision.checks)
    return [check.figure for check in decision.checks if not check.held]


def test_one_that_is_as_much_worse_as_is_allowed_is_promoted() -> None:
    figures = {name: value + 0.99 * MARGINS.get(name, 0.0) for name, value in GOOD.items()}
    decision = decide(exact({**figures, names.VAL_AUC_EXCESS: 0.099}), exact(GOOD), SAME_SPEED, Rule())
    assert failed(decision) == []
    assert "0.0990 against the champion's 0.1000: lower by 0.0010" in decision.reason


def test_one_whose_figures_are_the_champions_is_refused() -> None:
    assert failed(decide(exact(GOOD), exact(GOOD), SAME_SPEED, Rule())) == [names.VAL_AUC_EXCESS]


def test_a_champion_that_is_as_other_users_cannot_be_improved_on() -> None:
    champion, luckier = exact({**GOOD, names.VAL_AUC_EXCESS: 0.0}), exact({**GOOD, names.VAL_AUC_EXCESS: -0.08})
    decision = decide(luckier, champion, SAME_SPEED, Rule())
    assert decision.reason == f"{names.VAL_AUC_EXCESS}: expected `champion > 0`, but got 0.0000, off by 0.0000"


def test_the_difference_is_paired() -> None:
    """Users differ by far more than challenger and champion do: only the paired difference shows it."""
    rng = np.random.default_rng(3)
    user = rng.normal(0.15, 0.1, GROUPS)
    rows = [[[level + shift] for level in user] for shift in (0.0, 0.02)]
    sides = [{**exact(GOOD).metrics, names.VAL_AUC_EXCESS: clustered(side)} for side in rows]
    decision = decide(evaluation(sides[0]), evaluation(sides[1]), SAME_SPEED, Rule())
    assert decision.promoted
    figure = decision.figures[names.VAL_AUC_EXCESS]
    assert figure.challenger is not None
    assert figure.champion is not None
    assert figure.challenger.high > figure.champion.low  # the intervals of the two alone overlap


def test_the_value_compared_with_the_limit_is_the_one_sided_bound_of_the_textbook() -> None:
    """Groups of one row each: the jackknife's standard error is that of a mean of eight differences."""
    differences = [0.01, -0.03, -0.02, -0.05, 0.0, -0.01, -0.04, -0.02]
    sides = [clustered([[0.1 + d] for d in differences]), clustered([[0.1]] * GROUPS)]
    evaluations = [evaluation({**exact(GOOD).metrics, names.VAL_AUC_EXCESS: side}) for side in sides]
    decision = decide(evaluations[0], evaluations[1], SAME_SPEED, Rule(confidence=0.9))
    bounds = [check.value for check in decision.checks if check.law == "upper 90 % bound of challenger - champion < 0"]
    mean = sum(differences) / GROUPS
    se = math.sqrt(sum((d - mean) ** 2 for d in differences) / (GROUPS - 1) / GROUPS)
    assert bounds == [pytest.approx(mean + t.ppf(0.9, GROUPS - 1) * se)]


LIMITS = {
    names.VAL_AUC_EXCESS: {names.VAL_AUC_EXCESS: LimitsConfig().auc_excess + 0.01},
    names.VAL_MEMORISED_SHARE: {names.VAL_MEMORISED_SHARE: 0.06},
    names.VAL_PRECISION: {names.VAL_PRECISION: 0.49},
    names.VAL_RECALL: {names.VAL_RECALL: 0.49},
}


@pytest.mark.parametrize("name", LIMITS)
def test_without_a_champion_each_limit_alone_refuses(name: str) -> None:
    alone = Latency((10.0,) * 9)
    assert failed(decide(exact(GOOD), None, alone, Rule())) == []
    assert failed(decide(exact(GOOD | LIMITS[name]), None, alone, Rule())) == [name]
    assert failed(decide(exact(GOOD), None, Latency((300.0,) * 9), Rule())) == [LATENCY]


def test_limits_hold_for_a_challenger_better_than_the_champion_too() -> None:
    rule = Rule(limits=LimitsConfig(auc_excess=0.3))
    champion, challenger = exact({**GOOD, names.VAL_AUC_EXCESS: 0.45}), exact({**GOOD, names.VAL_AUC_EXCESS: 0.35})
    decision = decide(challenger, champion, SAME_SPEED, rule)
    assert decision.reason == f"{names.VAL_AUC_EXCESS}: expected `challenger <= 0.3`, but got 0.3500, off by 0.0500"


def test_a_slower_challenger_is_refused_and_a_few_disturbed_turns_decide_nothing() -> None:
    better = exact({**GOOD, names.VAL_AUC_EXCESS: 0.05})
    slower, disturbed = Latency((16.0,) * 11, (10.0,) * 11), Latency((10.0,) * 9 + (90.0,) * 2, (10.0,) * 11)
    assert failed(decide(better, exact(GOOD), slower, Rule())) == [LATENCY]
    assert failed(decide(better, exact(GOOD), disturbed, Rule())) == []


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", [None, math.nan])
def test_a_metric_missing_on_either_side_is_refused(name: str, value: float | None) -> None:
    figures = {**GOOD, names.VAL_AUC_EXCESS: 0.05}
    without = {k: math.nan if k == name else v for k, v in figures.items() if k != name or value is not None}
    for challenger, champion in ((without, GOOD), (figures, {**GOOD, name: math.nan})):
        decision = decide(exact(challenger), exact(champion), SAME_SPEED, Rule())
        assert set(failed(decision)) == {name}
        assert "was not computed" in decision.reason
        assert to_json(decision)["checks"]


@pytest.mark.parametrize("key", ["data_sha256", "split", "users", "movements", "seeds"])
def test_evaluations_on_other_movements_or_seeds_are_not_compared(key: str) -> None:
    other: dict[str, Any] = {
        "data_sha256": "e",
        "split": "test",
        "users": ("a",) * GROUPS,
        "movements": 41,
        "seeds": (2,),
    }
    with pytest.raises(ConfigError, match=f"expected {key} to be that of the champion"):
        decide(exact(GOOD), replace(exact(GOOD), **{key: other[key]}), SAME_SPEED, Rule())


def test_one_group_gives_no_interval_and_is_refused_as_input() -> None:
    with pytest.raises(ConfigError, match="expected `users >= 2`, but got 1"):
        decide(exact(GOOD, groups=1), None, SAME_SPEED, Rule())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Rule(confidence=0.5), "`0.5 < confidence < 1`"),
        (lambda: Rule(confidence=1.0), "`0.5 < confidence < 1`"),
        (lambda: LimitsConfig(auc_excess=1.1), "`0 <= auc_excess <= 1`"),
        (lambda: LimitsConfig(recall=-0.1), "`0 <= recall <= 1`"),
        (lambda: LimitsConfig(latency_ms_per_movement=0.0), "`0 < latency_ms_per_movement < inf`"),
        (lambda: MarginsConfig(mmd=-0.01), "`0 <= mmd < inf`"),
        (lambda: MarginsConfig(latency_ratio=math.inf), "`0 <= latency_ratio < inf`"),
    ],
)
def test_a_rule_of_no_sense_is_refused(wrong: object, message: str) -> None:
    assert callable(wrong)
    with pytest.raises(ConfigError) as exc_info:
        wrong()
    assert message in str(exc_info.value)
