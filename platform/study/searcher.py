"""The searcher of a sweep: Ray Tune schedules trials, Optuna suggests and records them, by ask and tell.

Every trial ends in the state that is true of it:

    ended by itself with finite objectives           COMPLETE with the values: at its last epoch, or stopped early
    stopped by the scheduler or its time limit       PRUNED with its intermediate values
    crashed, or a metric is missing, NaN or inf      FAIL with the reason
    interrupted through no fault of its own          FAIL with the reason, and requeued from its last checkpoint

A reopened study continues: finished trials count towards the budget, interrupted ones are resumed, baselines are
enqueued once, and the sampler's seed depends on the number of trials so far, so that a reopened study does not repeat
its suggestions.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from platform.study.budget import STORAGE_ERRORS, finished, is_queued, reason_of, waiting_repeats
from platform.study.comparable import MADE_WITH
from platform.study.objectives import Goal
from platform.study.paths import folder_of, path_within, relative_path
from platform.study.resume import (
    ATTEMPT,
    FOLDER,
    HISTORY,
    METRICS,
    OVERRIDES,
    RAY_TRIAL,
    REASON,
    REPEATS,
    START,
    history,
    predecessors,
    requeue,
    resumed_from,
)
from search_spaces import Space
from trainables.training.metric_names import CHECKPOINT_PATH, EPOCH
from trainables.training.trainable import metrics_of
from trainables.training.trial_keys import BEFORE, FAILURE, INTERRUPTED, RESUME_FROM

MOST_SILENT_CRASHES = 2  # but never fewer than the attempts of one trial
UNREACHABLE = "the trial's process could not be reached: Ray's node is gone"


class OptunaSearcher(Searcher):
    """Suggests parameters by `study.ask` and records ended trials by `study.tell`.

    Args:
        study: An open study, which alone stores the results.
        space: The search space.
        trials: The budget, including trials of earlier runs of this study.
        goal: Objectives, constraints and the last epoch.
        retries: How often a crashed trial is retried from its last checkpoint.
        made_with: Provenance stored with every trial: code, versions, data, sampler and its seed.
        seeds: Returns the seeds of a trial by dotted key, from its number; None: those of the configuration.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        trials: int,
        goal: Goal,
        retries: int = 0,
        made_with: Mapping[str, Any] | None = None,
        seeds: Callable[[int], Mapping[str, int]] | None = None,
    ) -> None:
        super().__init__(metric=goal.scheduler_metric, mode=goal.scheduler_mode)
        self.study = study
        self.space = space
        self.trials = trials
        self.goal = goal
        self.retries = retries
        self.made_with = dict(made_with or {})
        self.seeds = seeds
        self.running: dict[str, optuna.Trial] = {}
        self.tune_trials: dict[str, Trial] = {}
        self.reported: dict[int, int] = {}  # trial number -> its latest epoch
        self.silent_crashes = 0  # in a row, without a report of any trial between them
        self.pruned: set[int] = set()  # numbers of the trials that the scheduler or a limit stopped in this run
        self.limited: dict[int, str] = {}  # trial number -> the limit that ended it
        self.stop_reason = ""  # why no trial can continue; empty while they can

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a string
        """Return the next parameters by dotted key, or FINISHED when the budget is reached or the sweep has to stop.

        While no trial runs, Tune calls this method for minutes before it checks whether to stop.
        """
        if self.stop_reason:
            return Searcher.FINISHED
        if not self._is_due():
            return Searcher.FINISHED if not self.running else None
        trial = self.study.ask()
        for key, distribution in self.space.parameters.items():
            if self.space.active(key, trial.params):
                _suggest_parameter(trial, key, distribution)
        trial.set_user_attr(RAY_TRIAL, trial_id)
        trial.set_user_attr(MADE_WITH, self.made_with)
        self._record_seeds(trial)
        self.running[trial_id] = trial
        return {**trial.params, **trial.user_attrs.get(OVERRIDES, {}), **self._resume_config(trial)}

    def _record_seeds(self, trial: optuna.Trial) -> None:
        """Store the seeds of a new trial; a resumed one and a repeat keep those that they have."""
        resumes = resumed_from(self.study.get_trials(deepcopy=False)[trial.number]) is not None
        if self.seeds is not None and not resumes and OVERRIDES not in trial.user_attrs:
            trial.set_user_attr(OVERRIDES, dict(self.seeds(trial.number)))

    def _is_due(self) -> bool:
        """Whether a trial waits to be resumed or repeated, or the budget allows another one."""
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        searched = sum(REPEATS not in trial.user_attrs for trial in self.running.values())
        return any(map(is_queued, waiting)) or len(finished(self.study)) + searched < self.trials

    def remaining(self) -> int:
        """Return the number of trials that have not ended, including the running ones."""
        repeats = sum(REPEATS in trial.user_attrs for trial in self.running.values()) + waiting_repeats(self.study)
        return max(self.trials - len(finished(self.study)), 0) + repeats

    def _resume_config(self, trial: optuna.Trial) -> dict[str, Any]:
        """Report the history of the trial that this one resumes; return the key that names its checkpoint."""
        start = trial.user_attrs.get(START)
        if start is None:
            return {}
        trials, known = self.study.get_trials(deepcopy=False), dict[int, float]()
        for number in predecessors(trials, trials[trial.number]):
            known = {**history(trials[number]), **known}
        for metrics in (*start.get(BEFORE, ()), {EPOCH: start[EPOCH], **start[METRICS]}):
            if self.goal.scheduler_metric in metrics:  # the driver may have ended before this epoch was reported
                known.setdefault(metrics[EPOCH], metrics[self.goal.scheduler_metric])
        for epoch, value in sorted(known.items()):
            if epoch <= start[EPOCH]:
                self._report(trial, value, epoch)
        trial.set_user_attr(METRICS, start[METRICS])
        recorded = start["checkpoint"]
        return {RESUME_FROM: str(path_within(recorded, folder_of(self.study)) or recorded)}

    def folder_name(self, trial: Trial) -> str:
        """Return the folder of a Tune trial: Optuna's number and Tune's id, which differs between retries."""
        return f"trial-{self.running[trial.trial_id].number:04d}-{trial.trial_id}"

    def record_folder(self, trial: Trial) -> None:
        """Record the folder in which Tune stores a trial."""
        if trial.path and trial.trial_id in self.running and trial.trial_id not in self.tune_trials:
            self.tune_trials[trial.trial_id] = trial
            self.running[trial.trial_id].set_user_attr(FOLDER, relative_path(trial.path, folder_of(self.study)))

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Record the metrics of an epoch."""
        if trial_id in self.running:
            self.silent_crashes = 0
            with self._writing():
                self._record(self.running[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Record how a trial ended, once."""
        if trial_id in self.running:
            with self._writing():
                self._complete(trial_id, result or {}, error)
                del self.running[trial_id]
                self.tune_trials.pop(trial_id, None)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Stop the sweep where the study cannot be written; its trials stay RUNNING and are resumed by the next run.

        (Tune would attribute the error to the trial.)
        """
        try:
            yield
        except STORAGE_ERRORS as error:
            self.stop_reason = f"cannot write the study: {reason_of(error)}"

    def _complete(self, trial_id: str, result: Mapping[str, Any], error: bool) -> None:
        trial = self.running[trial_id]
        by_itself = self._ended_by_itself(trial, result)
        self._record(trial, result)  # Tune hands the result after which the scheduler stops a trial to this call alone
        if INTERRUPTED in result:
            self.stop_reason = result[INTERRUPTED]
            requeue(self.study, trial.number, result[INTERRUPTED])
        elif error:
            self._crashed(trial, _crash_reason(self.tune_trials.get(trial_id)))
        else:
            self._tell(trial, self._final_result(trial, result), by_itself)

    def _ended_by_itself(self, trial: optuna.Trial, result: Mapping[str, Any]) -> bool:
        """Whether a trial's loop ended, at its last epoch or by early stopping of its own.

        Tune repeats the last result of such a trial, and a resumed one that has no epoch left has none.
        """
        epoch = result.get(EPOCH, -1)
        return bool(epoch >= self.goal.last_epoch or epoch <= self.reported.get(trial.number, -1))

    def _crashed(self, trial: optuna.Trial, reason: str) -> None:
        """Retry a trial from its last checkpoint while `retries` allows it; then it has failed.

        Crashes in a row without any report between them are no fault of the trials: the sweep stops.
        """
        self.silent_crashes += 1
        attempt = trial.user_attrs.get(ATTEMPT, 0)
        if self.silent_crashes > max(MOST_SILENT_CRASHES, self.retries + 1):
            self.stop_reason = f"{self.silent_crashes} trials in a row crashed before reporting a result: {reason}"
            requeue(self.study, trial.number, reason)
        elif reason == UNREACHABLE:
            requeue(self.study, trial.number, reason)
        elif attempt < self.retries:
            requeue(self.study, trial.number, reason, **{ATTEMPT: attempt + 1})
        else:
            trial.set_user_attr(REASON, reason)
            self.study.tell(trial, state=TrialState.FAIL)

    def _final_result(self, trial: optuna.Trial, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the result, or for a resumed trial without further epochs the one it was resumed from."""
        start = trial.user_attrs.get(START)
        silent = EPOCH not in result and FAILURE not in result
        return {EPOCH: start[EPOCH], **start[METRICS]} if start and silent else result

    def _tell(self, trial: optuna.Trial, result: Mapping[str, Any], by_itself: bool) -> None:
        reason = str(result.get(FAILURE, "")) or self.goal.invalid_reason(result)
        if reason:
            trial.set_user_attr(REASON, reason)
            self.study.tell(trial, state=TrialState.FAIL)
            return
        for constraint in self.goal.constraints:
            trial.set_constraint(constraint.text, constraint.excess(result))
        if not by_itself:
            self.pruned.add(trial.number)
            limit = self.limited.get(trial.number, "")
            stopped = f"stopped after epoch {result[EPOCH]} of {self.goal.last_epoch}"
            trial.set_user_attr(REASON, f"{stopped}: {limit}" if limit else stopped)
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, self.goal.values(result))

    def _record(self, trial: optuna.Trial, result: Mapping[str, Any]) -> None:
        """Store the intermediate value of an epoch, and all metrics of the latest one."""
        metrics = metrics_of(result)
        value = metrics.get(self.goal.scheduler_metric)
        if EPOCH not in result or value is None:
            return
        self._report(trial, value, int(result[EPOCH]))
        trial.set_user_attr(METRICS, metrics)
        if CHECKPOINT_PATH in result:
            trial.set_user_attr(CHECKPOINT_PATH, relative_path(result[CHECKPOINT_PATH], folder_of(self.study)))

    def _report(self, trial: optuna.Trial, value: float, epoch: int) -> None:
        """Report an epoch once: Tune repeats the last result, and a restarted trial the epochs after its checkpoint."""
        if epoch > self.reported.get(trial.number, -1):
            if len(self.goal.objectives) == 1:
                trial.report(value, step=epoch)
            else:  # Optuna supports intermediate values with one objective only, and TPE refuses others
                trial.set_user_attr(HISTORY, {**trial.user_attrs.get(HISTORY, {}), str(epoch): value})
            self.reported[trial.number] = epoch

    def limit(self, trial_id: str, reason: str) -> None:
        """Note the limit that ends a running trial after the epoch that it has just reported."""
        if trial_id in self.running:
            self.limited[self.running[trial_id].number] = reason

    def interrupt(self, reason: str) -> None:
        """Requeue the running trials; they are resumed from their last checkpoints when the study is reopened."""
        for trial_id, trial in list(self.running.items()):
            requeue(self.study, trial.number, reason)
            del self.running[trial_id]

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the storage of the study holds everything."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the storage of the study holds everything."""


class StartCallback(Callback):
    """Records the folder of each trial, and replays the history of resumed ones to the scheduler."""

    def __init__(self, searcher: OptunaSearcher, scheduler: TrialScheduler) -> None:
        self.searcher = searcher
        self.scheduler = scheduler

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.searcher.record_folder(trial)
        suggested = self.searcher.running.get(trial.trial_id)
        if suggested is not None and START in suggested.user_attrs:
            replay_history(
                self.scheduler, trial, self.searcher.goal, history(self.searcher.study.trials[suggested.number])
            )

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles callbacks for `Tuner.restore`, which is not used."""
        return {}


def replay_history(scheduler: Any, trial: Any, goal: Goal, values: Mapping[int, float]) -> None:
    """Replay the earlier results of a trial to a scheduler, epoch by epoch."""
    for epoch, value in values.items():
        scheduler.on_trial_result(None, trial, {EPOCH: epoch, goal.scheduler_metric: value})


def _suggest_parameter(trial: optuna.Trial, key: str, distribution: BaseDistribution) -> None:
    """Suggest one parameter from its distribution (Optuna's `ask` does the same for all of them at once)."""
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(key, distribution.choices)
    elif isinstance(distribution, IntDistribution):
        trial.suggest_int(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    elif isinstance(distribution, FloatDistribution):
        trial.suggest_float(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    else:
        raise TypeError(f"no suggestion from {distribution}")


def _crash_reason(trial: Trial | None) -> str:
    """Return why a trial crashed, from the error file that Tune writes."""
    file = Path(trial.error_file) if trial is not None and trial.error_file else None
    lines = [line.strip() for line in file.read_text().splitlines() if line.strip()] if file and file.exists() else []
    if any("ActorUnavailableError" in line for line in lines):
        return UNREACHABLE
    if any("ActorDiedError" in line for line in lines):
        return "the trial's process died (killed, out of memory, or its node went away)"
    return f"the trial raised an error: {lines[-1]}" if lines else "the trial raised an error"
