"""The disk as a budget: what may be removed and in which order, and when a sweep has to stop."""

import pickle
import shutil
import time
from collections import namedtuple
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any, cast

import pytest
from optuna.trial import TrialState
from ray.tune.experiment import Trial

from platform.core.disk_usage import size
from platform.study.config import BudgetConfig
from platform.study.ranking import ranking
from platform.study.resume import checkpoints, requeue_orphans
from platform.study.searcher import OptunaSearcher
from platform.sweep import disk_budget
from platform.sweep.disk_budget import CHECKED_S, BudgetStopper, CheckpointQuota, protected, prune
from tests.platform.drivers import LAST, Driver
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_MMD
from trainables.training.trial_keys import RESUME_FROM

Usage = namedtuple("Usage", "total used free")


def with_trials(driver: Driver, *values: float) -> Driver:
    """Trials that ended with these values, each with a checkpoint."""
    for value in values:
        trial = driver.start()
        driver.checkpoint(trial, LAST - 1, value)
        driver.end(trial, LAST, value)
    return driver


def holders(driver: Driver) -> set[int]:
    """Numbers of the trials that still have a checkpoint."""
    return {trial.number for trial in driver.study.get_trials() if checkpoints(trial, driver.study.folder)}


def bytes_of(driver: Driver) -> int:
    return sum(size(path) for trial in driver.study.get_trials() for path in checkpoints(trial, driver.study.folder))


def test_the_size_of_a_folder_is_that_of_all_files_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"1" * 10)
    (tmp_path / "a" / "b" / "two").write_bytes(b"2" * 200)
    assert (size(tmp_path), size(tmp_path / "a" / "b"), size(tmp_path / "none")) == (210, 200, 0)


def test_files_deleted_while_their_folder_is_measured_count_as_deleted(tmp_path: Path) -> None:
    """Tune removes the checkpoint before the last one at any time; a thread does so all the time here."""
    (tmp_path / "stays").write_bytes(b"12345")
    over = Event()

    def come_and_go() -> None:
        while not over.is_set():
            (tmp_path / "checkpoint").mkdir()
            for name in "abcdefgh":
                (tmp_path / "checkpoint" / name).write_bytes(b"12345")
            shutil.rmtree(tmp_path / "checkpoint")

    thread = Thread(target=come_and_go)
    thread.start()
    try:
        sizes = {size(tmp_path) for _ in range(1000)}
    finally:
        over.set()
        thread.join()
    assert sizes <= {5 * count for count in range(1, 10)}


def test_a_quota_that_is_kept_removes_nothing(tmp_path: Path) -> None:
    driver = with_trials(Driver(tmp_path), 0.3, 0.1, 0.2)
    whole = bytes_of(driver)
    assert prune(driver.study, 1, whole) == whole
    assert holders(driver) == {0, 1, 2}


def test_the_worst_checkpoints_are_removed_first_and_no_more_than_needed(tmp_path: Path) -> None:
    """Five checkpoints of one size; by quota those of the best so many stay."""
    driver = with_trials(Driver(tmp_path), 0.3, 0.1, 0.5, 0.2, 0.4)
    each = bytes_of(driver) // 5
    for stay, expected in ((4, {0, 1, 3, 4}), (3, {0, 1, 3}), (2, {1, 3}), (1, {1})):
        left = prune(driver.study, 1, stay * each + 1)
        assert left == bytes_of(driver) <= stay * each + 1
        assert holders(driver) == expected


@pytest.mark.parametrize("finalists", [0, 1, 3])
def test_finalists_keep_their_checkpoints_for_any_quota(tmp_path: Path, finalists: int) -> None:
    driver = with_trials(Driver(tmp_path), 0.3, 0.1, 0.5, 0.2, 0.4)
    assert prune(driver.study, finalists, 0) == bytes_of(driver) > 0
    best = {trial.number for trial in ranking(driver.study)[: max(finalists, 1)]}
    assert holders(driver) == best


def test_the_pareto_front_keeps_its_checkpoints(tmp_path: Path) -> None:
    driver = Driver(tmp_path, objectives=(VAL_AUC_EXCESS, VAL_MMD))
    for first, second in ((0.1, 0.5), (0.3, 0.3), (0.4, 0.4), (0.5, 0.1), (0.6, 0.2)):
        trial = driver.start()
        driver.checkpoint(trial, 3, first)
        driver.end(trial, LAST, first, **{VAL_MMD: second})
    prune(driver.study, 0, 0)
    assert holders(driver) == {0, 1, 3}


def test_checkpoints_of_running_trials_and_starts_of_waiting_ones_are_kept(tmp_path: Path) -> None:
    """Trial 1 was interrupted, trial 3 waits to resume it; 2 runs; the best is 0."""
    driver = with_trials(Driver(tmp_path), 0.1)
    cut = driver.start()
    driver.checkpoint(cut, 1, 0.9)
    driver.searcher.interrupt("the time is over")
    again = Driver(tmp_path)
    again.study.enqueue_trial({"weight": 0.5})
    assert protected(again.study, ranking(again.study), 1) >= {0, 1, 2}
    taken = again.start()
    assert RESUME_FROM in taken.config
    running = again.start()
    again.checkpoint(running, 1, 0.8)
    prune(again.study, 1, 0)
    assert holders(again) == {0, 1, again.recorded(running).number}


def test_a_start_is_kept_when_the_resumed_trial_was_interrupted_before_its_own_checkpoint(tmp_path: Path) -> None:
    """Trial 1 resumed trial 0 and was interrupted at once; trial 2 resumes trial 0 as well."""
    first = Driver(tmp_path)
    start = first.checkpoint(first.start(), 1, 0.4)
    second = Driver(tmp_path)
    requeue_orphans(second.study)
    second.start()
    third = Driver(tmp_path)
    requeue_orphans(third.study)
    for begun in (False, True):
        if begun:
            assert third.start().config[RESUME_FROM] == str(start)
        prune(third.study, 1, 0)
        assert start.is_dir()


def test_an_interrupted_trial_whose_successor_has_a_checkpoint_is_removed_first(tmp_path: Path) -> None:
    driver = with_trials(Driver(tmp_path, retries=1), 0.1, 0.2)
    crashed = driver.start()
    driver.checkpoint(crashed, 1, 0.3)
    driver.crash(crashed)
    again = driver.start()
    driver.checkpoint(again, 2, 0.3)
    driver.end(again, LAST, 0.05)
    whole = bytes_of(driver)
    prune(driver.study, 1, whole - 1)
    assert holders(driver) == {0, 1, 3}


def test_a_removed_checkpoint_is_none_of_the_ranking(tmp_path: Path) -> None:
    driver = with_trials(Driver(tmp_path), 0.1, 0.2)
    prune(driver.study, 1, 0)
    assert [trial.checkpoint is None for trial in ranking(driver.study)] == [False, True]


class FakeSearcher(SimpleNamespace):
    """The part of a searcher that a stopper reads: the reason why no trial can continue."""


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes that are free, as the test sets them."""
    bytes_free = [10**12]
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2 * 10**12, 0, bytes_free[0]))
    return bytes_free


def guard_of(folder: Path, left_s: float = 600.0, stop_reason: str = "", **budget: Any) -> BudgetStopper:
    searcher = cast(OptunaSearcher, FakeSearcher(stop_reason=stop_reason))
    return BudgetStopper(BudgetConfig(**budget), folder, searcher, time.monotonic() + left_s)


def test_a_sweep_with_time_and_disk_space_left_is_not_stopped(tmp_path: Path, free: list[int]) -> None:
    stopper = guard_of(tmp_path)
    assert not stopper.stop_all()
    assert not stopper("trial", {})
    assert stopper.reason == ""
    assert not stopper.by_time


def test_the_end_of_the_time_is_an_end_that_was_agreed_upon(tmp_path: Path, free: list[int]) -> None:
    stopper = guard_of(tmp_path, left_s=-1.0, time_limit="90s")
    assert stopper.stop_all()
    assert stopper.by_time
    assert "time limit reached (budget.time_limit=90s)" in stopper.reason


def test_free_space_below_the_minimum_stops_the_sweep_and_is_printed(tmp_path: Path, free: list[int]) -> None:
    free[0] = 200_000_000
    assert not guard_of(tmp_path, min_free_disk="200MB").stop_all()
    free[0] -= 1
    stopper = guard_of(tmp_path, min_free_disk="200MB")
    assert stopper.stop_all()
    assert not stopper.by_time
    assert all(part in stopper.reason for part in ("200 MB are free", str(tmp_path), "budget.min_free_disk=200MB"))


def test_the_stop_reason_of_the_searcher_stops_the_sweep(tmp_path: Path, free: list[int]) -> None:
    stopper = guard_of(tmp_path, stop_reason="no space is left on the disk")
    assert stopper.stop_all()
    assert stopper.reason == "no space is left on the disk"
    assert not stopper.by_time


def test_a_full_disk_is_the_reason_even_when_the_time_is_over_too(tmp_path: Path, free: list[int]) -> None:
    """A message about the time limit would let the user run the command again, into the full disk."""
    free[0] = 0
    stopper = guard_of(tmp_path, left_s=-1.0)
    assert stopper.stop_all()
    assert not stopper.by_time


def test_a_quota_that_cannot_be_kept_stops_the_sweep(tmp_path: Path, free: list[int]) -> None:
    driver = with_trials(Driver(tmp_path), 0.1, 0.2)
    stopper = BudgetStopper(BudgetConfig(disk="0.0001MB"), tmp_path, driver.searcher, time.monotonic() + 600)
    CheckpointQuota(stopper, 1).keep()
    assert holders(driver) == {0}
    assert stopper.over_quota == bytes_of(driver) > 100
    assert stopper.stop_all()
    assert "exceed budget.disk=0.0001MB" in stopper.reason


@pytest.mark.parametrize("event", ["on_trial_complete", "on_trial_error"])
def test_the_quota_is_kept_after_every_end_of_a_trial(tmp_path: Path, event: str) -> None:
    driver = with_trials(Driver(tmp_path), 0.1, 0.2, 0.3)
    quota = 2 * bytes_of(driver) // 3
    stopper = BudgetStopper(
        BudgetConfig(disk=f"{quota / 1e3:.6f}KB"), tmp_path, driver.searcher, time.monotonic() + 600
    )
    getattr(CheckpointQuota(stopper, 1), event)(0, [], cast(Trial, None))
    assert holders(driver) == {0, 1}
    assert stopper.over_quota == 0


def test_the_disk_is_checked_once_a_second_and_a_reason_persists(
    tmp_path: Path, free: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune calls it many times a second."""
    now = [1000.0]
    monkeypatch.setattr(disk_budget, "time", SimpleNamespace(monotonic=lambda: now[0]))
    stopper = BudgetStopper(BudgetConfig(), tmp_path, cast(OptunaSearcher, FakeSearcher(stop_reason="")), 2000.0)
    assert not stopper.stop_all()
    free[0] = 0
    assert not stopper.stop_all()
    now[0] += CHECKED_S
    assert stopper.stop_all()
    free[0] = 10**12
    now[0] += CHECKED_S
    assert stopper.stop_all()


def test_guard_and_quota_can_be_pickled_without_their_study(tmp_path: Path) -> None:
    stopper = guard_of(tmp_path)
    for thing in (stopper, CheckpointQuota(stopper, 1)):
        assert vars(pickle.loads(pickle.dumps(thing))) == {}


def test_nothing_is_removed_while_trials_only_run(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    for _ in range(2):
        driver.checkpoint(driver.start(), 1, 0.4)
    assert prune(driver.study, 1, 0) == bytes_of(driver) > 0
    assert len(driver.in_state(TrialState.RUNNING)) == 2
