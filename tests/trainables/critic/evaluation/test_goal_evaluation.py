"""Means over sources of scores by row, against loops over rows."""

import numpy as np
import pytest
import torch

from trainables.critic.evaluation.goal_evaluation import SCORES, GoalEvaluation, SourceScores
from trainables.critic.evaluation.metrics import CRITIC, SCORE_OF
from trainables.training.metric import compute_all
from trainables.training.metric_names import VAL_GOAL_ACCURACY, VAL_GOAL_SHORTFALL, of_source


def scores(rows: int, seed: int) -> SourceScores:
    random = torch.Generator().manual_seed(seed)
    parts = {name: torch.rand(rows, generator=random, dtype=torch.float64) for name in SCORES}
    return SourceScores(tuple(f"user {seed} {row % 3}" for row in range(rows)), **parts, batch_size=rows)


SOURCES = {"a": scores(9, 1), "b": scores(12, 2)}
EVALUATION = GoalEvaluation(SOURCES)


def test_each_source_counts_alike() -> None:
    for name, score in SCORE_OF.items():
        means = [sum(getattr(one, score).tolist()) / len(one.owners) for one in SOURCES.values()]
        assert compute_all(CRITIC.metrics, EVALUATION)[name] == pytest.approx(sum(means) / 2)


def test_the_shortfall_is_against_the_better_baseline_of_each_source() -> None:
    found = []
    for one in SOURCES.values():
        baselines = [sum(getattr(one, name).tolist()) / len(one.owners) for name in ("distance", "extrapolation")]
        found.append(max(baselines) - sum(one.critic.tolist()) / len(one.owners))
    computed = compute_all(CRITIC.metrics, EVALUATION)
    assert computed[VAL_GOAL_SHORTFALL] == pytest.approx(sum(found) / 2)
    by_source = [computed[of_source(VAL_GOAL_SHORTFALL, source)] for source in SOURCES]
    assert by_source == pytest.approx(found)


def test_one_source_has_no_metrics_of_its_own_beside() -> None:
    computed = compute_all(CRITIC.metrics, GoalEvaluation({"a": SOURCES["a"]}))
    assert of_source(VAL_GOAL_ACCURACY, "a") not in computed
    assert VAL_GOAL_ACCURACY in computed


def test_a_statistic_over_some_rows_is_the_mean_over_the_sources_that_have_one() -> None:
    rows = np.array([0, 3, 4, 9, 20])
    of_a, of_b = SOURCES["a"].critic[[0, 3, 4]].mean(), SOURCES["b"].critic[[0, 11]].mean()
    assert EVALUATION.statistic("critic")(rows) == pytest.approx(float(of_a + of_b) / 2)
    assert EVALUATION.statistic("critic")(rows[:3]) == pytest.approx(float(of_a))
    assert len(EVALUATION.owners) == 21
