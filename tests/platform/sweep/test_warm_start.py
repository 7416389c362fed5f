import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from rich.console import Console

from platform.leaderboard.freshness import ENDED, stale_line
from platform.report.study_view import state_of, states
from platform.study.budget import default_trial, finished, trials_to_run
from platform.study.noise import noise_of
from platform.study.ranking import OBJECTIVES, ranking
from platform.study.resume import PRIOR, REPEATS
from platform.study.study import enqueue_repeats
from platform.sweep.warm_start import in_space, source_study, warm_start
from search_spaces import Space
from tests.platform.drivers import LAST, SPACE, Driver, sweep_in
from trainables.core.config import ConfigError
from trainables.training.metric_names import VAL_AUC_EXCESS

NARROW = Space("diffusion", {**SPACE.parameters, "weight": FloatDistribution(0.0, 0.4)}, ())


def record_of(driver: Driver, **more: Any) -> dict[str, Any]:
    return {OBJECTIVES: [VAL_AUC_EXCESS], **more}


def warm(driver: Driver, **more: Any) -> str:
    source = source_study(driver.sweep)
    assert source is not None
    out = io.StringIO()
    warm_start(Console(file=out, width=300), driver.sweep, driver.study, source, record_of(driver, **more))
    return out.getvalue()


def first_study(folder: Path) -> list[dict[str, Any]]:
    driver = Driver(folder, study_name="first")
    points = driver.points(6)
    driver.end(driver.start(), 1, 0.9)  # pruned: no observation
    return points


def test_completed_trials_of_a_comparable_study_are_prior_observations(tmp_path: Path) -> None:
    points = first_study(tmp_path)
    driver = Driver(tmp_path, study_name="second", warm_start="first", trials=8)
    assert "6 completed trial(s) of first as prior observations" in warm(driver)
    prior = driver.in_state(TrialState.COMPLETE)
    assert [trial.params for trial in prior] == points
    assert [trial.value for trial in prior] == pytest.approx([0.1 + point["weight"] for point in points])
    assert [trial.user_attrs[PRIOR] for trial in prior] == [["first", number] for number in range(6)]
    assert states(prior) == {"PRIOR": 6}
    assert finished(driver.study) == []  # they cost none of the budget
    assert trials_to_run(driver.study, 8) == 8
    assert ranking(driver.study) == []
    assert warm(driver) == ""  # each once
    assert len(driver.study.get_trials()) == 6
    driver.points(8)
    assert len(ranking(driver.study)) == 8
    assert driver.search.next_trial() is None


def test_a_model_learns_from_prior_observations(tmp_path: Path) -> None:
    """After as many observations as its start-up asks for, TPE suggests small weights, which are the good ones."""
    Driver(tmp_path, study_name="first").points(40)
    cold = Driver(tmp_path, study_name="cold", sampler="tpe")
    driver = Driver(tmp_path, study_name="second", sampler="tpe", warm_start="first")
    warm(driver)
    informed, blind = ([cold_or["weight"] for cold_or in of.points(4)] for of in (driver, cold))
    assert sum(informed) < sum(blind)


def test_only_trials_inside_the_space_are_observations(tmp_path: Path) -> None:
    points = first_study(tmp_path)
    driver = Driver(tmp_path, study_name="second", warm_start="first", space=NARROW)
    warm(driver)
    inside = [point for point in points if point["weight"] <= 0.4]
    assert 0 < len(inside) < len(points)
    assert [trial.params for trial in driver.study.get_trials()] == inside
    assert all(state_of(trial) == "PRIOR" for trial in driver.study.get_trials())


def test_the_best_of_another_objective_or_data_are_the_first_points(tmp_path: Path) -> None:
    points = first_study(tmp_path)
    driver = Driver(tmp_path, study_name="second", warm_start="first")
    printed = warm(driver, **{OBJECTIVES: ["val/mmd"]})
    assert "the best 3 point(s) of first are tried first" in printed
    assert "val/mmd" in printed
    best = sorted(points, key=lambda point: point["weight"])[:3]
    assert driver.points(3) == best
    assert driver.in_state(TrialState.COMPLETE)[0].last_step == LAST
    assert warm(driver, **{OBJECTIVES: ["val/mmd"]}) == ""


def test_a_study_that_is_not_there_or_of_another_trainable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such study"):
        source_study(sweep_in(tmp_path, warm_start="none"))
    first_study(tmp_path)
    other = Space("gan", SPACE.parameters, ())
    with pytest.raises(ConfigError, match="expected a study of gan, but got one of diffusion"):
        source_study(sweep_in(tmp_path, warm_start="first", space=other))
    assert source_study(sweep_in(tmp_path)) is None


@pytest.mark.parametrize(("change", "held"), [({}, True), ({"weight": 2.0}, False), ({"more": 1}, False)])
def test_a_point_lies_in_a_space_with_exactly_its_keys(change: dict[str, Any], held: bool) -> None:
    assert in_space(SPACE, {**SPACE.baselines[0], **change}) == held


def test_prior_observations_make_no_leaderboard_stale_and_are_no_repeats(tmp_path: Path) -> None:
    points = first_study(tmp_path)
    driver = Driver(tmp_path, study_name="second", warm_start="first")
    driver.points(2)
    board = {ENDED: len(finished(driver.study))}
    warm(driver)
    assert stale_line(board, driver.study) == ""
    assert noise_of(driver.study, driver.sweep.goal.objectives[0]) is None
    assert enqueue_repeats(driver.study, 8, 1) == 2  # of the study's own trials
    assert {trial.user_attrs[REPEATS] for trial in driver.in_state(TrialState.WAITING)} == {0, 1}
    assert default_trial(driver.study, replace(driver.sweep, space=replace(SPACE, baselines=(points[3],)))) is None
