"""The disk budget of a sweep: a quota of checkpoints, and free space below which it stops while it can still write.

When the checkpoints of a study exceed the quota, those of ended trials are removed, the worst first. Running trials,
finalists, the Pareto front and trials that will be resumed keep theirs; the registry has its own copies. Where that is
not enough, the sweep stops.
"""

import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial
from ray.tune.result import TIME_TOTAL_S

from platform.core.disk_usage import size
from platform.study.config import BudgetConfig
from platform.study.paths import folder_of
from platform.study.ranking import RankedTrial, ranking
from platform.study.resume import REPEATS, checkpoints, newest_checkpoint, predecessors
from platform.study.searcher import OptunaSearcher
from trainables.training.metric_names import EPOCH

CHECKED_S = 1.0  # Tune calls it many times a second


class SweepStoppedError(RuntimeError):
    """The sweep cannot continue, through no fault of its trials; its progress is saved."""


def protected(study: optuna.Study, ranked: Sequence[RankedTrial], finalists: int) -> set[int]:
    """Return the trials whose checkpoints are kept: best, front, repeats, running, waiting, and those they resume.

    An ended trial with a checkpoint of its own needs none of its predecessors.

    Args:
        ranked: The ranking of the study.
    """
    trials, folder = study.get_trials(deepcopy=False), folder_of(study)
    best = {trial.number for trial in ranked if trial.front} | {trial.number for trial in ranked[:finalists]}
    unfinished = {trial.number for trial in trials if trial.state in (TrialState.RUNNING, TrialState.WAITING)}
    repeats = {trial.number for trial in trials if REPEATS in trial.user_attrs}  # one of them may be published
    without = {number for number in best if newest_checkpoint(trials[number], folder, verified=False) is None}
    return (best | unfinished | repeats).union(
        *(predecessors(trials, trials[number]) for number in unfinished | without)
    )


def prune(study: optuna.Study, finalists: int, quota: int, ended_sizes: dict[int, int] | None = None) -> int:
    """Remove checkpoints of the worst trials until the quota is met; returns the bytes that remain.

    Nothing outside of the study's folder is removed.

    Args:
        ended_sizes: Bytes of the checkpoints of trials that had ended before, which only this function changes; it is
            updated, so that each folder is read once in a sweep.
    """
    trials, folder = study.get_trials(deepcopy=False), folder_of(study)
    known = {} if ended_sizes is None else ended_sizes
    new = {t.number: sum(map(size, checkpoints(t, folder))) for t in trials if t.number not in known}
    known |= {number: taken for number, taken in new.items() if trials[number].state.is_finished()}
    sizes = known | new
    total = sum(sizes.values())
    if total <= quota:
        return total
    ranked = ranking(study)
    kept = protected(study, ranked, finalists)
    order = [trial.number for trial in reversed(ranked)]
    ended = [
        trial.number for trial in trials if trial.number not in order
    ]  # interrupted ones, whose successors have started
    for number in (*ended, *order):
        if total <= quota:
            break
        if number not in kept and sizes[number]:
            _remove(checkpoints(trials[number], folder))
            total -= sizes[number]
            known[number] = 0
    return total


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder)


class BudgetStopper(Stopper):
    """Stops the sweep when its time limit is reached, the disk is used up, or the searcher says that it has to stop.

    Args:
        deadline: End of the time limit, on the monotonic clock.
        folder: Folder of the study.
    """

    def __init__(self, budget: BudgetConfig, folder: Path, searcher: OptunaSearcher, deadline: float) -> None:
        self.budget = budget
        self.folder = folder
        self.searcher = searcher
        self.deadline = deadline
        self.over_quota = 0
        self.used_up = ""
        self.checked = -CHECKED_S

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial ends after this epoch, because it has had its own time; never before its first epoch.

        It ends as one that the scheduler stops: PRUNED, with the metrics and the checkpoint of this epoch.
        """
        ends = result.get(EPOCH, 0) >= 1 and result.get(TIME_TOTAL_S, 0.0) >= self.budget.trial_time_limit_s
        if ends:
            limit = f"budget.trial_time_limit={self.budget.trial_time_limit}"
            self.searcher.limit(trial_id, f"time limit of a trial reached ({limit})")
        return bool(ends)

    def stop_all(self) -> bool:
        """Whether the sweep has to stop now."""
        now = time.monotonic()
        if not self.reason and now - self.checked >= CHECKED_S:
            self.checked = now
            self.used_up = self._check_budget()
        return bool(self.reason)

    @property
    def reason(self) -> str:
        """Why the sweep has to stop; empty while it does not."""
        return self.used_up or self.searcher.stop_reason

    @property
    def by_time(self) -> bool:
        """Whether it was the time limit: an end that was agreed upon."""
        return self.reason == self._time_over()

    def _time_over(self) -> str:
        return f"time limit reached (budget.time_limit={self.budget.time_limit})"

    def _check_budget(self) -> str:
        free = shutil.disk_usage(self.folder).free
        if free < self.budget.min_free_bytes:
            left = f"{free / 1e6:,.0f} MB are free at {self.folder}"
            return f"the disk is full: {left}, budget.min_free_disk={self.budget.min_free_disk}"
        if self.over_quota:
            return (
                f"{self.over_quota / 1e6:,.0f} MB of checkpoints of running and best trials alone exceed "
                f"budget.disk={self.budget.disk}"
            )
        return self._time_over() if time.monotonic() >= self.deadline else ""

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles it for `Tuner.restore`, which is not used."""
        return {}


class CheckpointQuota(Callback):
    """Enforces the quota after every trial."""

    def __init__(self, stopper: BudgetStopper, finalists: int) -> None:
        self.stopper = stopper
        self.finalists = finalists
        self.ended_sizes: dict[int, int] = {}  # of trials, in bytes

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.keep()

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.keep()

    def keep(self) -> None:
        """Remove checkpoints over the quota; the sweep stops where that is not enough."""
        quota = self.stopper.budget.disk_bytes
        left = prune(self.stopper.searcher.study, self.finalists, quota, self.ended_sizes)
        self.stopper.over_quota = left if left > quota else 0

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles callbacks for `Tuner.restore`, which is not used."""
        return {}
