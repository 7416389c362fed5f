"""A configuration takes one place in a rung, however often its trial was restarted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from platform.sweep.runner import make_scheduler
from platform.sweep.scheduler import OncePerConfiguration
from tests.platform.drivers import Driver, result

RUNG = 2  # epoch


def started(driver: Driver, scheduler: TrialScheduler) -> Trial:
    """Return a trial that the scheduler knows."""
    trial = driver.start()
    scheduler.on_trial_add(cast(Any, None), trial)
    return trial


def reached(scheduler: TrialScheduler, trial: Trial, value: float) -> str:
    """Return what the scheduler decides about a trial at the rung."""
    return scheduler.on_trial_result(cast(Any, None), trial, result(RUNG, value))


@pytest.mark.parametrize(("once", "decision"), [(True, TrialScheduler.CONTINUE), (False, TrialScheduler.STOP)])
def test_a_crashed_and_retried_configuration_stands_once_in_a_rung(tmp_path: Path, once: bool, decision: str) -> None:
    """Of values 0.1 and 0.9 the better third ends at 0.37, so that 0.3 continues; of 0.1, 0.1 and 0.9 at 0.1."""
    driver = Driver(tmp_path, retries=1)
    halving = make_scheduler(driver.sweep, driver.study)
    assert isinstance(halving, AsyncHyperBandScheduler)
    scheduler: TrialScheduler = OncePerConfiguration(halving, driver.searcher) if once else halving
    first = started(driver, scheduler)
    assert reached(scheduler, first, 0.1) == TrialScheduler.CONTINUE
    driver.crash(first)
    again = started(driver, scheduler)
    assert again.trial_id != first.trial_id
    assert again.config == first.config
    reached(scheduler, again, 0.1)
    assert reached(scheduler, started(driver, scheduler), 0.9) == TrialScheduler.STOP
    assert reached(scheduler, started(driver, scheduler), 0.3) == decision


def test_other_configurations_are_compared_as_before(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    halving = [make_scheduler(driver.sweep, driver.study) for _ in range(2)]
    plain, wrapped = halving[0], OncePerConfiguration(cast(AsyncHyperBandScheduler, halving[1]), driver.searcher)
    assert wrapped.metric == plain.metric
    decisions = []
    for value in (0.5, 0.4, 0.6, 0.3, 0.45, 0.2, 0.35):
        trial = started(driver, wrapped)
        plain.on_trial_add(cast(Any, None), cast(Trial, SimpleNamespace(trial_id=trial.trial_id)))
        decisions.append((reached(wrapped, trial, value), reached(plain, trial, value)))
        for scheduler in (wrapped, plain):
            scheduler.on_trial_complete(cast(Any, None), trial, result(RUNG, value))
    assert all(mine == theirs for mine, theirs in decisions)
    assert {mine for mine, _ in decisions} == {TrialScheduler.CONTINUE, TrialScheduler.STOP}
    assert wrapped.debug_string() == plain.debug_string()
