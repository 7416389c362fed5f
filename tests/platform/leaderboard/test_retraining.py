"""Configurations that were trained anew are compared with the default in pairs of seeds."""

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from scipy import stats

from platform.leaderboard.retraining import Retraining, compared, retraining_of
from platform.study.noise import Repeat
from platform.study.objectives import Objective
from platform.study.resume import METRICS, OVERRIDES, REPEATS
from trainables.eval.intervals.jackknife import Interval
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_RECALL

OBJECTIVE = Objective.parse(VAL_AUC_EXCESS)


def by_trial(values: dict[int, list[float]]) -> dict[int, dict[int, Repeat]]:
    """Repeats of each trial under the seeds 1, 2, ..."""
    return {
        of: {seed: Repeat(100 * of + seed, of, seed, value) for seed, value in enumerate(mine, start=1)}
        for of, mine in values.items()
    }


def study_of(values: dict[int, list[float]], metric: str = VAL_AUC_EXCESS) -> optuna.Study:
    """A study that holds nothing but repeats; their numbers count from 0."""
    study = optuna.create_study()
    for of, mine in values.items():
        for seed, value in enumerate(mine, start=1):
            attributes = {REPEATS: of, OVERRIDES: {"seed": seed}, METRICS: {metric: value}}
            state = TrialState.COMPLETE
            study.add_trial(optuna.trial.create_trial(state=state, value=value, user_attrs=attributes))
    return study


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_two_configurations_are_compared_by_the_paired_t_test(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    default, other = rng.normal(0.3, 0.1, seeds), rng.normal(0.2, 0.1, seeds)
    gain = compared(by_trial({4: default.tolist(), 7: other.tolist()}), 4)[7]
    expected = stats.ttest_rel(other, default).confidence_interval(0.95)
    assert [gain.low, gain.high] == pytest.approx([expected.low, expected.high])
    assert gain.df == seeds - 1
    assert gain.value == pytest.approx(float((other - default).mean()))


def test_what_a_seed_adds_to_all_configurations_cancels() -> None:
    values = {0: [0.3, 0.5, 0.4], 1: [0.2, 0.3, 0.4], 2: [0.1, 0.4, 0.3]}
    shifted = {of: [value + add for value, add in zip(mine, (5, -2, 9), strict=True)] for of, mine in values.items()}
    for of, gain in compared(by_trial(values), 0).items():
        other = compared(by_trial(shifted), 0)[of]
        assert [gain.value, gain.se] == pytest.approx([other.value, other.se])
        assert gain.df == other.df == 4


def test_equal_configurations_are_seldom_found_better_and_better_ones_often() -> None:
    """Three against the default, three seeds, noise 0.01: at most 7.5 % by the bound; fixed seed, 2,000 experiments.

    A share of 0.075 exceeds 0.09 in fewer than one of 200 such tests.
    """
    rng, found = np.random.default_rng(3), {0.0: 0, 0.06: 0}
    for gain in found:
        for _ in range(2000):
            table = rng.normal(0.0, 0.01, (4, 3)) + rng.normal(0.0, 0.02, 3)
            table[1] -= gain
            gains = compared(by_trial(dict(enumerate(table.tolist()))), 0)
            found[gain] += any(one.high < 0 for one in gains.values())
    assert found[0.0] / 2000 <= 0.09
    assert found[0.06] / 2000 > 0.95


def test_the_best_of_those_that_beat_the_default_is_recommended_and_its_first_seed_published() -> None:
    values = {0: [0.50, 0.51, 0.52], 3: [0.30, 0.31, 0.33], 5: [0.40, 0.41, 0.42]}
    found = retraining_of(study_of(values), OBJECTIVE, default=0, asked=3)
    assert (found.recommended, dict(found.published)) == (3, {0: 0, 3: 3, 5: 6})
    assert found.conclusion.startswith("trial 3 beats the default by 0.197 in val/auc_excess; recommended: trial 3")
    assert found.noise is not None
    assert found.noise.df == 6


def test_where_every_interval_holds_zero_the_default_is_recommended() -> None:
    values = {0: [0.50, 0.40, 0.52], 3: [0.30, 0.51, 0.33]}
    found = retraining_of(study_of(values), OBJECTIVE, default=0, asked=3)
    assert found.gains[3].low < 0 < found.gains[3].high
    assert found.conclusion == "no trial beats the default; recommended: trial 0, the default configuration"


def test_a_worse_configuration_is_not_recommended_and_a_maximised_objective_turns_the_side() -> None:
    values = {0: [0.50, 0.51, 0.52], 3: [0.30, 0.31, 0.33]}
    maximised = retraining_of(study_of(values, VAL_RECALL), Objective.parse(VAL_RECALL), default=0, asked=3)
    assert (maximised.recommended, maximised.gains[3].high < 0) == (0, True)
    assert retraining_of(study_of(values, VAL_RECALL), Objective.parse(VAL_RECALL), 3, 3).recommended == 0


@pytest.mark.parametrize(
    ("values", "default", "asked", "conclusion"),
    [
        ({}, 0, 0, "no trial was trained anew (finalists.retrain_seeds=0)"),
        ({3: [0.1, 0.2]}, None, 2, "the default configuration is not in this study"),
        ({3: [0.1, 0.2]}, 0, 2, "finalists and default are not all trained anew yet"),
        ({0: [0.1], 3: [0.1]}, 0, 2, "finalists and default are not all trained anew yet"),
        ({0: [0.1, 0.2], 3: [0.1]}, 0, 2, "finalists and default are not all trained anew yet"),
    ],
)
def test_without_a_comparison_nothing_is_recommended(
    values: dict[int, list[float]], default: int | None, asked: int, conclusion: str
) -> None:
    found = retraining_of(study_of(values), OBJECTIVE, default, asked)
    assert (found.recommended, found.gains) == (None, {})
    assert found.conclusion.startswith(conclusion)


def test_the_record_holds_what_is_printed() -> None:
    found = Retraining(2, OBJECTIVE, 0, {3: Interval(-0.1, 0.01, -0.12, -0.08, 2)}, recommended=3)
    assert found.to_json() == {
        "asked": 2,
        "default": 0,
        "recommended": 3,
        "noise": None,
        "conclusion": "trial 3 beats the default by 0.100 in val/auc_excess; recommended: trial 3",
    }
