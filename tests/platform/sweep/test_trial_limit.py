from pathlib import Path

import pytest
from optuna.trial import TrialState
from ray.tune.result import TIME_TOTAL_S

from platform.study.config import BudgetConfig
from platform.study.ranking import ranking
from platform.study.resume import REASON
from platform.sweep.disk_budget import BudgetStopper
from tests.platform.drivers import LAST, Driver, result
from trainables.core.config import ConfigError


@pytest.mark.parametrize(
    ("limit", "epoch", "spent_s", "ends"),
    [
        ("1m", 2, 59.9, False),
        ("1m", 2, 60.0, True),
        ("1m", 0, 99.0, False),  # an untrained model: nothing would stay of the trial
        ("1m", LAST, 99.0, True),
        ("", 2, 1e9, False),
    ],
)
def test_a_trial_ends_after_the_epoch_in_which_its_time_is_over(
    tmp_path: Path, limit: str, epoch: int, spent_s: float, ends: bool
) -> None:
    driver = Driver(tmp_path)
    stopper = BudgetStopper(BudgetConfig(trial_time_limit=limit), tmp_path, driver.searcher, deadline=1e18)
    trial = driver.start()
    reported = {**result(epoch, 0.5), TIME_TOTAL_S: spent_s}
    assert stopper(trial.trial_id, reported) == ends
    driver.search.on_trial_complete(trial.trial_id, reported)
    [ranked], recorded = ranking(driver.study), driver.recorded(trial)
    assert (ranked.epoch, ranked.value) == (epoch, 0.5)  # what it had reached stays
    assert recorded.state == (TrialState.COMPLETE if epoch == LAST else TrialState.PRUNED)
    if ends and epoch < LAST:
        why = f"stopped after epoch {epoch} of {LAST}: time limit of a trial reached (budget.trial_time_limit={limit})"
        assert recorded.user_attrs[REASON] == why


@pytest.mark.parametrize("limit", ["0m", "10", "1 week"])
def test_a_wrong_limit_is_refused(limit: str) -> None:
    with pytest.raises(ConfigError, match=r"trial_time_limit.*or empty"):
        BudgetConfig(trial_time_limit=limit)
