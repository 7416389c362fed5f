"""The searcher over a real journal: recorded states of trials, suggestions, and the end of a study."""

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from optuna.trial import TrialState
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from platform.study.budget import enqueue_baselines, finished
from platform.study.resume import FOLDER, METRICS, REASON, requeue_orphans
from platform.study.searcher import OptunaSearcher, StartCallback
from tests.platform.drivers import LAST, SPACE, Driver, result
from trainables.training.metric_names import CHECKPOINT_PATH, EPOCH, VAL_AUC_EXCESS, VAL_MMD


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path)


def test_a_trial_at_its_last_epoch_is_complete_with_every_value(driver: Driver) -> None:
    trial = driver.start()
    for epoch in range(LAST):
        driver.report(trial, epoch, 0.5 - 0.1 * epoch)
    driver.end(trial, LAST, 0.05)
    recorded = driver.recorded(trial)
    assert (recorded.state, recorded.value) == (TrialState.COMPLETE, 0.05)
    assert recorded.intermediate_values == {0: 0.5, 1: 0.4, 2: 0.3, 3: pytest.approx(0.2), LAST: 0.05}
    assert REASON not in recorded.user_attrs


def test_the_last_result_given_twice_is_one_value(driver: Driver) -> None:
    """Without a scheduler that stops at the last epoch, Tune repeats the last result to end the trial."""
    trial = driver.start()
    driver.report(trial, LAST, 0.2)
    driver.end(trial, LAST, 0.2)
    assert driver.recorded(trial).intermediate_values == {LAST: 0.2}
    assert driver.recorded(trial).value == 0.2


def test_a_restarted_trial_keeps_the_values_that_it_reported_first(driver: Driver) -> None:
    """It crashed in epoch 3 and was resumed from the checkpoint of epoch 0: two epochs are reported again."""
    trial = driver.start()
    for epoch, value in ((0, 0.5), (1, 0.4), (2, 0.3), (1, 0.45), (2, 0.35), (3, 0.25)):
        driver.report(trial, epoch, value)
    driver.end(trial, LAST, 0.2)
    assert driver.recorded(trial).intermediate_values == {0: 0.5, 1: 0.4, 2: 0.3, 3: 0.25, LAST: 0.2}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_optunasearch_defect_a_nan_metric_leaves_no_trial_running(driver: Driver, value: float) -> None:
    """It fails, with the reason and what it reported before."""
    trial = driver.start()
    driver.report(trial, 0, 0.4)
    driver.report(trial, 1, value)
    driver.end(trial, LAST, value)
    recorded = driver.recorded(trial)
    assert (recorded.state, recorded.value) == (TrialState.FAIL, None)
    assert recorded.intermediate_values == {0: 0.4}
    assert recorded.user_attrs[REASON] == f"{VAL_AUC_EXCESS} is {value}"


def test_a_metric_that_recovers_from_nan_counts(driver: Driver) -> None:
    trial = driver.start()
    driver.report(trial, 0, math.nan)
    driver.end(trial, LAST, 0.3)
    assert (driver.recorded(trial).state, driver.recorded(trial).intermediate_values) == (
        TrialState.COMPLETE,
        {LAST: 0.3},
    )


@pytest.mark.parametrize("last", [None, {}, {EPOCH: LAST, VAL_MMD: 0.1}], ids=["no result", "empty", "others only"])
def test_a_missing_metric_fails_with_the_reason(driver: Driver, last: dict[str, Any] | None) -> None:
    trial = driver.start()
    driver.search.on_trial_complete(trial.trial_id, last)
    recorded = driver.recorded(trial)
    assert (recorded.state, recorded.value, recorded.intermediate_values) == (TrialState.FAIL, None, {})
    assert recorded.user_attrs[REASON] == f"{VAL_AUC_EXCESS} was never reported"


def test_optunasearch_defect_a_crashed_trial_is_not_stored_complete(driver: Driver) -> None:
    """It fails and keeps what was reported."""
    trial = driver.start()
    driver.report(trial, 0, 0.4)
    driver.crash(trial)
    recorded = driver.recorded(trial)
    assert (recorded.state, recorded.value, recorded.intermediate_values) == (TrialState.FAIL, None, {0: 0.4})
    assert recorded.user_attrs[REASON] == "the trial raised an error"


def test_a_crash_at_the_last_epoch_is_no_success(driver: Driver) -> None:
    trial = driver.start()
    driver.search.on_trial_complete(trial.trial_id, result(LAST, 0.1), error=True)
    assert driver.recorded(trial).state == TrialState.FAIL


def test_optunasearch_defect_a_trial_that_the_scheduler_stopped_is_not_stored_complete(driver: Driver) -> None:
    """It is pruned, with its values."""
    trial = driver.start()
    driver.report(trial, 0, 0.4)
    driver.report(trial, 1, 0.35)
    driver.end(trial, 2, 0.37)
    recorded = driver.recorded(trial)
    assert (recorded.state, recorded.value) == (TrialState.PRUNED, 0.37)
    assert recorded.intermediate_values == {0: 0.4, 1: 0.35, 2: 0.37}
    assert recorded.user_attrs[REASON] == f"stopped after epoch 2 of {LAST}"


def test_a_trial_is_recorded_once(driver: Driver) -> None:
    trial = driver.start()
    driver.end(trial, LAST, 0.3)
    driver.crash(trial)
    driver.report(trial, LAST, 0.1)
    assert (driver.recorded(trial).state, driver.recorded(trial).value) == (TrialState.COMPLETE, 0.3)


def test_trials_of_other_drivers_are_not_touched(driver: Driver) -> None:
    driver.searcher.on_trial_result("unknown", result(0, 0.1))
    driver.searcher.on_trial_complete("unknown", result(LAST, 0.1))
    assert driver.study.trials == []


def test_metrics_of_the_latest_epoch_and_its_checkpoint_are_kept(driver: Driver) -> None:
    trial = driver.start()
    driver.report(trial, 0, 0.4, checkpoint_path="/old")
    driver.report(trial, 1, 0.3, checkpoint_path="/new", **{"train/loss": 1.5, "node/name": "host"})
    attributes = driver.recorded(trial).user_attrs
    assert attributes[METRICS] == {VAL_AUC_EXCESS: 0.3, VAL_MMD: 0.6, "train/loss": 1.5}
    assert attributes[CHECKPOINT_PATH] == "/new"


def test_a_trial_gets_its_point_by_dotted_key(driver: Driver) -> None:
    trial = driver.start()
    assert driver.recorded(trial).params == trial.config
    assert set(trial.config) == set(SPACE.parameters)


def test_the_folder_of_a_trial_is_recorded_once_and_of_no_unknown_trial(driver: Driver) -> None:
    """Tune starts a trial again in the folder of its first start."""
    trial, started = driver.start(), StartCallback(driver.searcher, FIFOScheduler())
    before = driver.recorded(trial).user_attrs[FOLDER]
    for trial_id in (trial.trial_id, "unknown"):
        elsewhere = cast(Trial, SimpleNamespace(trial_id=trial_id, path="/elsewhere", error_file=None))
        started.on_trial_start(0, [], elsewhere)
    assert driver.recorded(trial).user_attrs[FOLDER] == before
    assert list(driver.searcher.tune_trials) == [trial.trial_id]
    assert vars(pickle.loads(pickle.dumps(started))) == {}


def test_folders_are_named_by_number_and_differ_between_retries(tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        driver = Driver(tmp_path)
        requeue_orphans(driver.study)
        names.append(driver.searcher.folder_name(driver.start()))
    assert [name[:11] for name in names] == ["trial-0000-", "trial-0001-"]
    assert names[0][11:] != names[1][11:]


ENDINGS: tuple[Callable[[Driver, Trial], None], ...] = (
    lambda driver, trial: driver.end(trial, LAST, 0.2),
    lambda driver, trial: driver.end(trial, 1, 0.4),
    lambda driver, trial: driver.end(trial, LAST, math.nan),
    lambda driver, trial: driver.crash(trial),
)


@pytest.mark.parametrize("budget", [1, 2, 5, 9])
@pytest.mark.parametrize("concurrent", [1, 3])
def test_exactly_the_budget_is_run(tmp_path: Path, budget: int, concurrent: int) -> None:
    """Every way to end counts once; the last trials run side by side without one too many."""
    driver = Driver(tmp_path, trials=budget, concurrent=concurrent)
    running: list[Trial] = []
    ended = 0
    while ended < budget:
        while (trial := driver.search.next_trial()) is not None:
            running.append(trial)
        assert len(running) == min(concurrent, budget - ended)
        ENDINGS[ended % len(ENDINGS)](driver, running.pop(0))
        ended += 1
    assert running == []
    assert driver.search.next_trial() is None
    assert driver.search.is_finished()
    assert len(driver.study.trials) == len(finished(driver.study)) == budget


def test_the_search_waits_while_the_last_trials_run(tmp_path: Path) -> None:
    driver = Driver(tmp_path, trials=1)
    trial = driver.start()
    assert driver.search.next_trial() is None
    assert not driver.search.is_finished()
    assert driver.searcher.suggest("next") is None
    driver.end(trial, LAST, 0.2)
    assert driver.searcher.suggest("next") == OptunaSearcher.FINISHED


def test_a_used_up_budget_finishes_at_once_and_a_larger_one_continues(tmp_path: Path) -> None:
    Driver(tmp_path, trials=2).points(2)
    again = Driver(tmp_path, trials=2)
    assert again.search.next_trial() is None
    assert again.search.is_finished()
    larger = Driver(tmp_path, trials=3)
    assert len(larger.points(1)) == 1
    assert larger.search.next_trial() is None


def test_optunasearch_defect_a_rerun_does_not_enqueue_its_points_again(tmp_path: Path) -> None:
    """Baselines come first, and once over four openings."""
    points = []
    for _ in range(4):
        driver = Driver(tmp_path)
        requeue_orphans(driver.study)
        enqueue_baselines(driver.study, SPACE, 4)
        points += driver.points(1)
    assert points[:2] == list(SPACE.baselines)
    assert all(point not in SPACE.baselines for point in points[2:])
    assert len(Driver(tmp_path).study.trials) == 4


def test_baselines_stay_within_the_budget_and_the_others_are_enqueued_with_a_larger_one(tmp_path: Path) -> None:
    for trials, expected in ((1, 1), (1, 1), (5, 2)):
        study = Driver(tmp_path).study
        enqueue_baselines(study, SPACE, trials)
        assert len(study.trials) == expected


def test_finished_trials_count_towards_the_budget(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    enqueue_baselines(driver.study, SPACE, 100)
    for end in ENDINGS:
        end(driver, driver.start())
    driver.start()
    assert [trial.number for trial in finished(driver.study)] == [0, 1, 2, 3]


@pytest.mark.parametrize("objectives", [(), (VAL_AUC_EXCESS, VAL_MMD)])
def test_early_stopping_of_its_own_makes_a_trial_complete(tmp_path: Path, objectives: tuple[str, ...]) -> None:
    """Tune repeats the last result of a loop that ended; that after which it stops a trial comes once."""
    metric = VAL_AUC_EXCESS if objectives else ""
    driver = Driver(tmp_path, objectives=objectives, scheduler_metric=metric)
    early, stopped = driver.start(), driver.start()
    for trial in (early, stopped):
        driver.report(trial, 0, 0.4)
        driver.report(trial, 1, 0.3)
    driver.end(early, 1, 0.3)
    driver.end(stopped, 2, 0.2)
    assert [driver.recorded(trial).state for trial in (early, stopped)] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert driver.recorded(early).values == [0.3, 0.6][: len(objectives) or 1]
    assert REASON not in driver.recorded(early).user_attrs
    assert driver.searcher.pruned == {driver.recorded(stopped).number}
