"""Interrupted trials are resumed from their last checkpoint, exactly once, for every kind of interruption."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from ray.tune.experiment import Trial

from platform.study.budget import enqueue_baselines, finished, trials_to_run, waiting_repeats
from platform.study.resume import (
    ATTEMPT,
    METRICS,
    OVERRIDES,
    RAY_TRIAL,
    REASON,
    REPEATS,
    REQUEUED,
    RESUMED_FROM,
    START,
    checkpoints,
    newest_checkpoint,
    requeue_orphans,
)
from platform.study.searcher import MOST_SILENT_CRASHES
from platform.study.seeds import seeds_of_repeat
from platform.study.study import enqueue_repeats
from tests.platform.drivers import LAST, SPACE, Driver, result, saved
from trainables.training.checkpoint import WEIGHTS
from trainables.training.metric_names import EPOCH, VAL_AUC_EXCESS, VAL_MMD
from trainables.training.trial_keys import FAILURE, INTERRUPTED, METRICS_FILE, RESUME_FROM

DEAD = "the driver ended before the trial did"
DIED = "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task."
AWAY = "ray.exceptions.ActorUnavailableError: The actor is temporarily unavailable."


def searched(config: dict[str, Any]) -> dict[str, Any]:
    """The point alone of what a trial is started with."""
    return {key: value for key, value in config.items() if key in SPACE.parameters}


def waiting(driver: Driver) -> list[FrozenTrial]:
    return driver.in_state(TrialState.WAITING)


def test_optunasearch_defect_orphans_of_a_killed_driver_do_not_stay_running(tmp_path: Path) -> None:
    """They fail with the reason, and their points come again."""
    dead = Driver(tmp_path)
    dead.points(1)
    orphans = [dead.start() for _ in range(2)]
    dead.report(orphans[0], 0, 0.4)
    driver = Driver(tmp_path)
    assert requeue_orphans(driver.study) == 2
    for orphan in orphans:
        recorded = driver.recorded(orphan)
        assert recorded.state == TrialState.FAIL
        assert (recorded.user_attrs[REASON], recorded.user_attrs[REQUEUED]) == (DEAD, True)
    assert [driver.start().config for _ in orphans] == [orphan.config for orphan in orphans]
    assert driver.start().config not in [orphan.config for orphan in orphans]


def test_recovery_touches_nothing_but_orphans(tmp_path: Path) -> None:
    dead = Driver(tmp_path)
    dead.points(2)
    before = dead.study.get_trials()
    driver = Driver(tmp_path)
    assert requeue_orphans(driver.study) == 0
    assert driver.study.get_trials() == before


def test_a_point_that_is_orphaned_again_and_again_counts_once(tmp_path: Path) -> None:
    """Two trials of budget: one is lost twice, and both still run to their end, no third one does."""
    point = Driver(tmp_path, trials=2).start().config
    for _ in range(2):
        again = Driver(tmp_path, trials=2)
        assert requeue_orphans(again.study) == 1
        assert again.start().config == point
    last = Driver(tmp_path, trials=2)
    requeue_orphans(last.study)
    assert len(finished(last.study)) == 0
    assert last.points(2)[0] == point
    assert last.search.next_trial() is None
    assert [trial.state.name for trial in last.study.trials] == ["FAIL", "FAIL", "FAIL", "COMPLETE", "COMPLETE"]


def test_an_orphaned_baseline_is_enqueued_again_once(tmp_path: Path) -> None:
    dead = Driver(tmp_path)
    enqueue_baselines(dead.study, SPACE, 100)
    assert dead.start().config == SPACE.baselines[0]
    driver = Driver(tmp_path)
    requeue_orphans(driver.study)
    enqueue_baselines(driver.study, SPACE, 100)
    points = [trial.system_attrs["fixed_params"] for trial in waiting(driver)]
    assert points == [SPACE.baselines[1], SPACE.baselines[0]]


def test_a_trial_is_resumed_from_its_newest_checkpoint_with_its_history(tmp_path: Path) -> None:
    """Reports after that checkpoint are computed again, and so not copied."""
    dead = Driver(tmp_path)
    orphan = dead.start()
    dead.report(orphan, 0, 0.45)
    dead.checkpoint(orphan, 1, 0.4)
    newest = dead.checkpoint(orphan, 2, 0.3)
    dead.report(orphan, 3, 0.2)
    driver = Driver(tmp_path)
    requeue_orphans(driver.study)
    again = driver.start()
    assert again.config == {**orphan.config, RESUME_FROM: str(newest)}
    recorded = driver.recorded(again)
    assert recorded.user_attrs[RESUMED_FROM] == 0
    assert recorded.intermediate_values == {0: 0.45, 1: 0.4, 2: 0.3}
    assert recorded.user_attrs[METRICS] == {VAL_AUC_EXCESS: 0.3, VAL_MMD: 0.6}
    driver.report(again, 3, 0.25)
    driver.end(again, LAST, 0.1)
    assert driver.recorded(again).intermediate_values == {0: 0.45, 1: 0.4, 2: 0.3, 3: 0.25, LAST: 0.1}
    assert driver.recorded(again).state == TrialState.COMPLETE


def test_an_unreported_checkpoint_brings_its_metric(tmp_path: Path) -> None:
    dead = Driver(tmp_path)
    orphan = dead.start()
    dead.report(orphan, 1, 0.4)
    saved(dead.folder(orphan), 2, result(2, 0.3))
    driver = Driver(tmp_path)
    requeue_orphans(driver.study)
    assert driver.recorded(driver.start()).intermediate_values == {1: 0.4, 2: 0.3}


def test_a_checkpoint_brings_the_metrics_of_all_unreported_epochs(tmp_path: Path) -> None:
    dead = Driver(tmp_path)
    orphan = dead.start()
    dead.report(orphan, 1, 0.4)
    before = [{EPOCH: epoch, VAL_AUC_EXCESS: value} for epoch, value in ((0, 0.5), (1, 0.4), (2, 0.3))]
    saved(dead.folder(orphan), 3, result(3, 0.2), before)
    driver = Driver(tmp_path)
    requeue_orphans(driver.study)
    assert driver.recorded(driver.start()).intermediate_values == {0: 0.5, 1: 0.4, 2: 0.3, 3: 0.2}


def test_a_checkpoint_without_the_rung_metric_does_not_stop_the_sweep(tmp_path: Path) -> None:
    """An epoch whose metric was not finite has a checkpoint as well."""
    dead = Driver(tmp_path)
    orphan = dead.start()
    dead.report(orphan, 1, 0.4)
    saved(dead.folder(orphan), 2, {VAL_MMD: 0.1})
    driver = Driver(tmp_path)
    requeue_orphans(driver.study)
    again = driver.start()
    assert again.config[RESUME_FROM].endswith("checkpoint_000002")
    assert driver.recorded(again).intermediate_values == {1: 0.4}


def truncate(checkpoint: Path) -> None:
    with (checkpoint / WEIGHTS).open("r+b") as stream:
        stream.truncate(40)


def cut_metrics(checkpoint: Path) -> None:
    (checkpoint / METRICS_FILE).write_text('{"epoch": 2, "val/c2')


def emptied(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint)
    checkpoint.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated tensors": truncate,
    "cut metrics": cut_metrics,
    "no metrics": lambda checkpoint: (checkpoint / METRICS_FILE).unlink(),
    "no record": lambda checkpoint: (checkpoint / "record.json").unlink(),
    "empty folder": emptied,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_incomplete_newest_checkpoint_is_skipped(tmp_path: Path, damage: str) -> None:
    dead = Driver(tmp_path)
    orphan = dead.start()
    older = dead.checkpoint(orphan, 1, 0.4)
    DAMAGES[damage](dead.checkpoint(orphan, 2, 0.3))
    driver = Driver(tmp_path)
    requeue_orphans(driver.study)
    again = driver.start()
    assert again.config[RESUME_FROM] == str(older)
    assert driver.recorded(again).intermediate_values == {1: 0.4}
    assert driver.recorded(again).user_attrs[START][EPOCH] == 1


@pytest.mark.parametrize("damaged", [0, 1])
def test_without_a_complete_checkpoint_a_trial_restarts(tmp_path: Path, damaged: int) -> None:
    dead = Driver(tmp_path)
    orphan = dead.start()
    dead.report(orphan, 1, 0.4)
    for epoch in range(damaged):
        truncate(dead.checkpoint(orphan, 2 + epoch, 0.3))
    driver = Driver(tmp_path)
    requeue_orphans(driver.study)
    again = driver.start()
    assert again.config == orphan.config
    assert driver.recorded(again).intermediate_values == {}
    assert driver.recorded(again).user_attrs[RESUMED_FROM] == 0


def test_a_trial_of_a_worker_group_is_resumed_from_its_checkpoint(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    trial = driver.start()
    recorded = driver.recorded(trial)
    group = driver.sweep.settings.folder / "groups" / f"group-{recorded.user_attrs[RAY_TRIAL]}"
    kept = saved(group, 1, result(1, 0.4))
    assert checkpoints(recorded, driver.study.folder) == [kept]
    found = newest_checkpoint(recorded, driver.study.folder)
    assert found is not None
    assert (found.path, found.epoch, dict(found.metrics)) == (kept, 1, {VAL_AUC_EXCESS: 0.4, VAL_MMD: 0.8})


def test_a_trial_interrupted_twice_before_its_first_checkpoint_keeps_its_start_and_its_history(tmp_path: Path) -> None:
    dead = Driver(tmp_path)
    orphan = dead.start()
    dead.report(orphan, 0, 0.5)
    first = dead.checkpoint(orphan, 1, 0.4)
    for _ in range(2):
        driver = Driver(tmp_path)
        requeue_orphans(driver.study)
        again = driver.start()
        assert again.config == {**orphan.config, RESUME_FROM: str(first)}
        assert driver.recorded(again).intermediate_values == {0: 0.5, 1: 0.4}


def test_a_driver_that_dies_over_taking_a_trial_up_loses_nothing_of_its_history(tmp_path: Path) -> None:
    """Optuna has handed the point out; its earlier values were not copied yet."""
    dead = Driver(tmp_path)
    dead.report(orphan := dead.start(), 0, 0.5)
    first = dead.checkpoint(orphan, 1, 0.4)
    killed = Driver(tmp_path)
    requeue_orphans(killed.study)
    killed.study.ask()
    driver = Driver(tmp_path)
    requeue_orphans(driver.study)
    again = driver.start()
    assert again.config == {**orphan.config, RESUME_FROM: str(first)}
    assert driver.recorded(again).intermediate_values == {0: 0.5, 1: 0.4}


def test_a_resumed_trial_without_remaining_epochs_has_the_result_of_its_start(tmp_path: Path) -> None:
    """The trial wrote its last epoch to the disk before it was reported to the driver."""
    dead = Driver(tmp_path)
    orphan = dead.start()
    dead.report(orphan, 3, 0.4)
    saved(dead.folder(orphan), LAST, result(LAST, 0.3))
    driver = Driver(tmp_path)
    requeue_orphans(driver.study)
    again = driver.start()
    driver.search.on_trial_complete(again.trial_id, {"done": True, "training_iteration": 1})
    recorded = driver.recorded(again)
    assert (recorded.state, recorded.value, recorded.intermediate_values) == (
        TrialState.COMPLETE,
        0.3,
        {3: 0.4, LAST: 0.3},
    )


def test_a_resumed_trial_that_fails_does_not_have_the_result_of_its_start(tmp_path: Path) -> None:
    dead = Driver(tmp_path)
    dead.checkpoint(dead.start(), 1, 0.4)
    driver = Driver(tmp_path)
    requeue_orphans(driver.study)
    again = driver.start()
    driver.search.on_trial_complete(again.trial_id, {FAILURE: "the loss is nan"})
    assert (driver.recorded(again).state, driver.recorded(again).user_attrs[REASON]) == (
        TrialState.FAIL,
        "the loss is nan",
    )


def test_a_crashed_trial_is_retried_from_its_last_checkpoint_as_often_as_the_budget_allows(tmp_path: Path) -> None:
    """Each attempt ends FAIL; those before the last do not count, the last one does."""
    driver = Driver(tmp_path, retries=2, trials=1)
    trials, starts = [], []
    for epoch in range(3):
        trials.append(trial := driver.start())
        starts.append(trial.config.get(RESUME_FROM))
        driver.checkpoint(trial, epoch, 0.4)
        driver.crash(trial, f"Traceback\nRuntimeError: attempt {epoch}\n")
    recorded = [driver.recorded(trial) for trial in trials]
    assert [trial.state for trial in recorded] == [TrialState.FAIL] * 3
    assert [trial.user_attrs.get(ATTEMPT, 0) for trial in recorded] == [0, 1, 2]
    assert [trial.user_attrs.get(REQUEUED, False) for trial in recorded] == [True, True, False]
    assert [trial.user_attrs[REASON][-21:] for trial in recorded] == [
        f"RuntimeError: attempt {n}"[-21:] for n in range(3)
    ]
    assert len({tuple(searched(trial.config).items()) for trial in trials}) == 1
    assert [start and Path(start).name for start in starts] == [None, "checkpoint_000000", "checkpoint_000001"]
    assert [trial.number for trial in finished(driver.study)] == [2]
    assert driver.search.next_trial() is None
    assert driver.search.is_finished()


def test_a_crash_that_is_outlived_counts_once_with_its_result(tmp_path: Path) -> None:
    driver = Driver(tmp_path, retries=1, trials=1)
    driver.crash(driver.start(), DIED)
    driver.end(driver.start(), LAST, 0.2)
    assert [trial.state.name for trial in driver.study.trials] == ["FAIL", "COMPLETE"]
    assert driver.study.trials[0].user_attrs[REASON].startswith("the trial's process died")
    assert [trial.value for trial in finished(driver.study)] == [0.2]
    assert driver.search.next_trial() is None


def test_attempts_are_remembered_when_the_driver_dies_between_them(tmp_path: Path) -> None:
    first = Driver(tmp_path, retries=1)
    first.crash(first.start())
    first.start()
    second = Driver(tmp_path, retries=1)
    requeue_orphans(second.study)
    second.crash(second.start())
    assert waiting(second) == []
    assert len(finished(second.study)) == 1


def test_a_process_that_cannot_be_reached_is_no_attempt(tmp_path: Path) -> None:
    """Its node was lost, and possibly Ray with it: no fault of the trial."""
    driver = Driver(tmp_path, retries=0)
    driver.report(trial := driver.start(), 0, 0.4)
    driver.crash(trial, AWAY)
    [again] = waiting(driver)
    assert ATTEMPT not in again.user_attrs
    assert finished(driver.study) == []


def test_crashes_in_a_row_without_a_report_stop_the_sweep_and_fail_no_trial(tmp_path: Path) -> None:
    driver = Driver(tmp_path, retries=0)
    for _ in range(MOST_SILENT_CRASHES):
        driver.crash(driver.start(), DIED)
        assert driver.searcher.stop_reason == ""
    driver.crash(driver.start(), DIED)
    assert "trials in a row crashed before reporting a result" in driver.searcher.stop_reason
    assert [trial.user_attrs[RESUMED_FROM] for trial in waiting(driver)] == [MOST_SILENT_CRASHES]


def test_a_report_between_crashes_lets_the_sweep_continue(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    for _ in range(3 * MOST_SILENT_CRASHES):
        driver.report(trial := driver.start(), 0, 0.4)
        driver.crash(trial, DIED)
    assert driver.searcher.stop_reason == ""


def test_a_failure_that_no_retry_can_fix_fails_at_once_with_its_reason(tmp_path: Path) -> None:
    driver = Driver(tmp_path, retries=2)
    driver.report(trial := driver.start(), 0, 0.4)
    driver.search.on_trial_complete(trial.trial_id, {FAILURE: "the loss became nan in step 7"})
    recorded = driver.recorded(trial)
    assert (recorded.state, recorded.user_attrs[REASON]) == (TrialState.FAIL, "the loss became nan in step 7")
    assert (waiting(driver), len(finished(driver.study))) == ([], 1)


def test_an_interrupted_trial_is_resumed_later_and_gives_the_stop_reason_of_the_sweep(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    newest = driver.checkpoint(trial := driver.start(), 1, 0.4)
    driver.search.on_trial_complete(trial.trial_id, {INTERRUPTED: "no space is left on the disk"})
    assert driver.searcher.stop_reason == "no space is left on the disk"
    assert driver.recorded(trial).user_attrs[REQUEUED] is True
    assert finished(driver.study) == []
    assert Driver(tmp_path).start().config == {**trial.config, RESUME_FROM: str(newest)}


@pytest.mark.parametrize("running", [0, 1])
def test_a_sweep_that_has_to_stop_is_finished_at_once(tmp_path: Path, running: int) -> None:
    """Also where the ends of trials could not be recorded: Tune would wait ten minutes for the next one."""
    driver = Driver(tmp_path)
    for _ in range(running):
        driver.start()
    driver.searcher.stop_reason = "cannot write the study: no space left on the disk"
    assert driver.search.next_trial() is None
    assert driver.search.is_finished()


def test_trials_running_at_the_end_of_a_sweep_are_resumed_by_the_next(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    reported, silent, ended = (driver.start() for _ in range(3))
    newest = driver.checkpoint(reported, 1, 0.3)
    driver.end(ended, LAST, 0.2)
    driver.searcher.interrupt("the time is over")
    for trial in (reported, silent):
        assert (driver.recorded(trial).state, driver.recorded(trial).user_attrs[REASON]) == (
            TrialState.FAIL,
            "the time is over",
        )
    assert driver.recorded(ended).state == TrialState.COMPLETE
    assert (driver.searcher.running, driver.in_state(TrialState.RUNNING)) == ({}, [])
    again = Driver(tmp_path)
    assert requeue_orphans(again.study) == 0
    assert [again.start().config for _ in range(2)] == [
        {**reported.config, RESUME_FROM: str(newest)},
        silent.config,
    ]


def test_cutting_twice_changes_nothing(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    driver.start()
    driver.searcher.interrupt("the time is over")
    before = driver.study.get_trials()
    driver.searcher.interrupt("the time is over")
    assert driver.study.get_trials() == before


class CutError(Exception):
    """Stands in for the end of the driver."""


@contextmanager
def cut_after(study: optuna.Study, writes: int) -> Iterator[Counter[str]]:
    """The journal takes so many more lines, then the driver is no more; the counter holds how many were written."""
    backend = vars(study._storage)["_backend"]
    count, append = Counter[str](), backend.append_logs

    def limited(logs: list[dict[str, Any]]) -> None:
        if count["writes"] >= writes:
            raise CutError
        count["writes"] += 1
        append(logs)

    backend.append_logs = limited
    try:
        yield count
    finally:
        backend.append_logs = append


def check_exactly_once(driver: Driver, point: dict[str, Any]) -> None:
    """One successor that can still run; every trial of the chain but the last was cut; nothing counts twice."""
    trials = driver.study.get_trials()
    resumed = [trial.user_attrs[RESUMED_FROM] for trial in trials if RESUMED_FROM in trial.user_attrs]
    assert len(resumed) == len(set(resumed))
    assert driver.in_state(TrialState.RUNNING) == []
    [last] = waiting(driver)
    assert searched(last.system_attrs["fixed_params"]) == searched(point)
    assert [trial.user_attrs.get(REQUEUED) for trial in trials if trial.state == TrialState.FAIL] == [True] * len(
        resumed
    )
    assert finished(driver.study) == []


ENDS: dict[str, Callable[[Driver, Trial], object]] = {
    "crash": lambda driver, trial: driver.crash(trial),
    "interrupted": lambda driver, trial: driver.search.on_trial_complete(trial.trial_id, {INTERRUPTED: "no space"}),
    "cut": lambda driver, trial: driver.searcher.interrupt("the time is over"),
    "orphan": lambda driver, trial: requeue_orphans(driver.study),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_trial_interrupted_at_any_write_is_resumed_exactly_once(tmp_path: Path, how: str) -> None:
    """For every k: the k-th line is the last that reaches the journal; then the study is opened again."""
    for writes in range(100):
        driver = Driver(tmp_path / str(writes), retries=1)
        trial = driver.start()
        newest = driver.checkpoint(trial, 1, 0.4)
        with cut_after(driver.study, writes) as count:
            try:
                ENDS[how](driver, trial)
                whole = True
            except CutError:
                whole = False
        again = Driver(tmp_path / str(writes), retries=1)
        requeue_orphans(again.study)
        check_exactly_once(again, trial.config)
        assert again.start().config[RESUME_FROM] == str(newest)
        if whole:
            assert count["writes"] == writes > 2
            return
    raise AssertionError("it never ends")


def test_an_interruption_at_any_write_of_a_start_neither_loses_nor_doubles_a_trial(tmp_path: Path) -> None:
    """The driver is killed between the suggestion of a resumed trial and the copy of its history."""
    for writes in range(100):
        dead = Driver(tmp_path / str(writes))
        orphan = dead.start()
        dead.report(orphan, 0, 0.5)
        newest = dead.checkpoint(orphan, 1, 0.4)
        killed = Driver(tmp_path / str(writes))
        requeue_orphans(killed.study)
        with cut_after(killed.study, writes):
            try:
                killed.start()
                whole = True
            except CutError:
                whole = False
        again = Driver(tmp_path / str(writes))
        requeue_orphans(again.study)
        check_exactly_once(again, orphan.config)
        last = again.start()
        assert last.config == {**orphan.config, RESUME_FROM: str(newest)}
        assert again.recorded(last).intermediate_values == {0: 0.5, 1: 0.4}, f"the driver died after {writes} writes"
        if whole:
            assert writes > 5
            return
    raise AssertionError("it never ends")


def test_repeats_are_enqueued_once_for_each_trial_and_seed(tmp_path: Path) -> None:
    driver = Driver(tmp_path, trials=3)
    points = driver.points(3)
    best = sorted(range(3), key=lambda number: points[number]["weight"])[:2]
    assert enqueue_repeats(driver.study, top=2, repeats=2) == 4
    assert enqueue_repeats(driver.study, top=2, repeats=2) == 4
    repeats = [(trial.user_attrs[REPEATS], trial.user_attrs[OVERRIDES]["seed"]) for trial in waiting(driver)]
    assert repeats == [(number, seed) for number in best for seed in (1, 2)]
    assert (waiting_repeats(driver.study), trials_to_run(driver.study, 3)) == (4, 0)


def test_repeats_hold_the_other_seed_and_count_beside_the_budget(tmp_path: Path) -> None:
    driver = Driver(tmp_path, trials=1)
    [point] = driver.points(1)
    enqueue_repeats(driver.study, top=1, repeats=1)
    again = Driver(tmp_path, trials=1)
    repeat = again.start()
    assert repeat.config == {**point, **seeds_of_repeat("diffusion", 0, 1)}
    again.end(repeat, LAST, 0.2)
    assert len(finished(again.study)) == 1
    assert again.search.next_trial() is None
    assert trials_to_run(again.study, 1) == 0


def test_an_interrupted_repeat_is_queued_once_and_keeps_its_seed(tmp_path: Path) -> None:
    driver = Driver(tmp_path, trials=1)
    [point] = driver.points(1)
    enqueue_repeats(driver.study, top=1, repeats=1)
    Driver(tmp_path, trials=1).start()
    again = Driver(tmp_path, trials=1)
    requeue_orphans(again.study)
    assert waiting_repeats(again.study) == 1
    assert enqueue_repeats(again.study, top=1, repeats=1) == 1
    assert again.start().config == {**point, **seeds_of_repeat("diffusion", 0, 1)}


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_the_number_of_trials_to_run_is_the_number_that_then_runs(tmp_path: Path, cut: int) -> None:
    """Five trials of budget, two done, some cut."""
    dead = Driver(tmp_path, trials=5)
    dead.points(2)
    for _ in range(cut):
        dead.start()
    driver = Driver(tmp_path, trials=5)
    requeue_orphans(driver.study)
    assert trials_to_run(driver.study, 5) == 3
    driver.points(3)
    assert driver.search.next_trial() is None
    assert trials_to_run(driver.study, 5) == 0


def test_a_trial_whose_folder_is_missing_restarts(tmp_path: Path) -> None:
    dead = Driver(tmp_path)
    orphan = dead.start()
    dead.checkpoint(orphan, 1, 0.4)
    shutil.rmtree(dead.folder(orphan))
    driver = Driver(tmp_path)
    requeue_orphans(driver.study)
    assert driver.start().config == orphan.config
