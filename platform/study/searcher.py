"""The bridge from Ray Tune to Optuna: Tune schedules, Optuna remembers and suggests, by ask and tell.

Every trial's end is told with the state that is true of it:

    reached its last epoch with finite objectives    COMPLETE with the values
    stopped by the scheduler                         PRUNED with its intermediate values
    crashed, or a metric is missing, NaN or inf      FAIL with the reason
    cut by something that is no fault of its own     FAIL with the reason, and enqueued again from its last checkpoint

A study that is opened again continues: what finished counts towards the budget, what was cut goes on, baselines are
enqueued once, and the sampler's seed depends on the number of trials so far, so that a reopened study does not repeat
its suggestions.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from platform.study.budget import STORAGE_ERRORS, finished, is_owed, reason_of, waiting_repeats
from platform.study.objectives import Goal
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
)
from search_spaces import Space
from trainables.training.metric_names import CHECKPOINT_PATH, EPOCH
from trainables.training.trainable import metrics_of
from trainables.training.trial_keys import BEFORE, FAILURE, INTERRUPTED, RESUME_FROM

MADE_WITH = "made_with"  # with what a trial was suggested and run: code, versions, data, sampler and its seed
MOST_SILENT_CRASHES = 2  # but never fewer than the attempts of one trial
UNREACHABLE = "the trial's process could not be reached: Ray's node is gone"


class OptunaSearcher(Searcher):
    """Suggests by `study.ask` and answers by `study.tell`.

    Args:
        study: An open study; the only place where results are kept.
        space: What varies.
        trials: The budget, trials of earlier runs of this study included.
        goal: Objectives, constraints and the last epoch.
        retries: How often a trial that crashed is tried again, from its last checkpoint.
        made_with: Kept with every trial: code, versions, data, sampler and its seed.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        trials: int,
        goal: Goal,
        retries: int = 0,
        made_with: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(metric=goal.scheduler_metric, mode=goal.scheduler_mode)
        self.study = study
        self.space = space
        self.trials = trials
        self.goal = goal
        self.retries = retries
        self.made_with = dict(made_with or {})
        self.running: dict[str, optuna.Trial] = {}
        self.tune_trials: dict[str, Trial] = {}
        self.reported: dict[int, int] = {}  # trial number -> its latest epoch
        self.silent_crashes = 0  # in a row, without a word of any trial between them
        self.stop_reason = ""  # why no trial can go on, by what trials have said

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a string
        """The next point, by dotted key; FINISHED when the budget is met."""
        if not self._is_due():
            return Searcher.FINISHED if not self.running else None
        trial = self.study.ask()
        for key, law in self.space.parameters.items():
            if self.space.active(key, trial.params):
                _ask(trial, key, law)
        trial.set_user_attr(RAY_TRIAL, trial_id)
        trial.set_user_attr(MADE_WITH, self.made_with)
        self.running[trial_id] = trial
        return {**trial.params, **trial.user_attrs.get(OVERRIDES, {}), **self._taken_up(trial)}

    def _is_due(self) -> bool:
        """Whether something was begun or asked for before, or the budget has room for another trial."""
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        searched = sum(REPEATS not in trial.user_attrs for trial in self.running.values())
        return any(map(is_owed, waiting)) or len(finished(self.study)) + searched < self.trials

    def left(self) -> int:
        """Trials that still have to end, those that run included."""
        repeats = sum(REPEATS in trial.user_attrs for trial in self.running.values()) + waiting_repeats(self.study)
        return max(self.trials - len(finished(self.study)), 0) + repeats

    def _taken_up(self, trial: optuna.Trial) -> dict[str, Any]:
        """The history of the trial that this one goes on from, and where its checkpoint lies."""
        start = trial.user_attrs.get(START)
        if start is None:
            return {}
        trials, known = self.study.get_trials(deepcopy=False), dict[int, float]()
        for number in predecessors(trials, trials[trial.number]):
            known = {**history(trials[number]), **known}
        for metrics in (*start.get(BEFORE, ()), {EPOCH: start[EPOCH], **start[METRICS]}):
            if self.goal.scheduler_metric in metrics:  # the driver may have ended before it heard of this epoch
                known.setdefault(metrics[EPOCH], metrics[self.goal.scheduler_metric])
        for epoch, value in sorted(known.items()):
            if epoch <= start[EPOCH]:
                self._report(trial, value, epoch)
        trial.set_user_attr(METRICS, start[METRICS])
        return {RESUME_FROM: start["checkpoint"]}

    def folder_name(self, trial: Trial) -> str:
        """The folder of a Tune trial: the study's number for it, and Tune's own id, which differs between retries."""
        return f"trial-{self.running[trial.trial_id].number:04d}-{trial.trial_id}"

    def started(self, trial: Trial) -> None:
        """Remember where Tune keeps a trial."""
        if trial.trial_id in self.running and trial.trial_id not in self.tune_trials:
            self.tune_trials[trial.trial_id] = trial
            self.running[trial.trial_id].set_user_attr(FOLDER, trial.path)

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Keep the metric of an epoch as an intermediate value."""
        if trial_id in self.running:
            self.silent_crashes = 0
            with self._writing():
                self._keep(self.running[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Tell how a trial ended; a trial is told once."""
        if trial_id in self.running:
            with self._writing():
                self._end(trial_id, result or {}, error)
                del self.running[trial_id]
                self.tune_trials.pop(trial_id, None)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Where the study cannot be written the sweep stops, and its trials stay running for the next one.

        (Tune would take the error for one of the trial.)
        """
        try:
            yield
        except STORAGE_ERRORS as error:
            self.stop_reason = f"cannot write the study: {reason_of(error)}"

    def _end(self, trial_id: str, result: Mapping[str, Any], error: bool) -> None:
        trial = self.running[trial_id]
        self._keep(trial, result)  # Tune hands the result that ends a trial to this call alone
        if INTERRUPTED in result:
            self.stop_reason = result[INTERRUPTED]
            requeue(self.study, trial.number, result[INTERRUPTED])
        elif error:
            self._crashed(trial, _last_words(self.tune_trials.get(trial_id)))
        else:
            self._tell(trial, self._last_known(trial, result))

    def _crashed(self, trial: optuna.Trial, reason: str) -> None:
        """Try it again from its last checkpoint, as often as the budget says; then it has failed.

        Where one crash follows the other and nobody reports anything, the fault is not the trials'.
        """
        self.silent_crashes += 1
        attempt = trial.user_attrs.get(ATTEMPT, 0)
        if self.silent_crashes > max(MOST_SILENT_CRASHES, self.retries + 1):
            self.stop_reason = f"{self.silent_crashes} trials in a row crashed and none reported anything: {reason}"
            requeue(self.study, trial.number, reason)
        elif reason == UNREACHABLE:
            requeue(self.study, trial.number, reason)
        elif attempt < self.retries:
            requeue(self.study, trial.number, reason, **{ATTEMPT: attempt + 1})
        else:
            trial.set_user_attr(REASON, reason)
            self.study.tell(trial, state=TrialState.FAIL)

    def _last_known(self, trial: optuna.Trial, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """The result, or where a continued trial had nothing left to do, what it was continued from."""
        start = trial.user_attrs.get(START)
        silent = EPOCH not in result and FAILURE not in result
        return {EPOCH: start[EPOCH], **start[METRICS]} if start and silent else result

    def _tell(self, trial: optuna.Trial, result: Mapping[str, Any]) -> None:
        reason = str(result.get(FAILURE, "")) or self.goal.wrong(result)
        if reason:
            trial.set_user_attr(REASON, reason)
            self.study.tell(trial, state=TrialState.FAIL)
            return
        for constraint in self.goal.constraints:
            trial.set_constraint(constraint.text, constraint.excess(result))
        if result[EPOCH] < self.goal.last_epoch:
            trial.set_user_attr(REASON, f"stopped after epoch {result[EPOCH]} of {self.goal.last_epoch}")
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, self.goal.values(result))

    def _keep(self, trial: optuna.Trial, result: Mapping[str, Any]) -> None:
        """The intermediate value of an epoch, all metrics of the latest one beside it."""
        metrics = metrics_of(result)
        value = metrics.get(self.goal.scheduler_metric)
        if EPOCH not in result or value is None:
            return
        self._report(trial, value, int(result[EPOCH]))
        trial.set_user_attr(METRICS, metrics)
        if CHECKPOINT_PATH in result:
            trial.set_user_attr(CHECKPOINT_PATH, result[CHECKPOINT_PATH])

    def _report(self, trial: optuna.Trial, value: float, epoch: int) -> None:
        """Report an epoch once: Tune repeats the last result, and a restarted trial what came after its checkpoint."""
        if epoch > self.reported.get(trial.number, -1):
            if len(self.goal.objectives) == 1:
                trial.report(value, step=epoch)
            else:  # Optuna has intermediate values of one objective alone, and its TPE refuses others
                trial.set_user_attr(HISTORY, {**trial.user_attrs.get(HISTORY, {}), str(epoch): value})
            self.reported[trial.number] = epoch

    def cut(self, reason: str) -> None:
        """End what is running: it goes on from its last checkpoint when the study is opened again."""
        for trial_id, trial in list(self.running.items()):
            requeue(self.study, trial.number, reason)
            del self.running[trial_id]

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study's storage has everything."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the study's storage has everything."""


class StartCallback(Callback):
    """Tells the bridge where Tune keeps each trial, and the scheduler what a continued one had reached."""

    def __init__(self, searcher: OptunaSearcher, scheduler: TrialScheduler) -> None:
        self.searcher = searcher
        self.scheduler = scheduler

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.searcher.started(trial)
        asked = self.searcher.running.get(trial.trial_id)
        if asked is not None and START in asked.user_attrs:
            remember(self.scheduler, trial, self.searcher.goal, history(self.searcher.study.trials[asked.number]))

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles callbacks for `Tuner.restore`, which a study needs not."""
        return {}


def remember(scheduler: Any, trial: Any, goal: Goal, rungs: Mapping[int, float]) -> None:
    """Let a scheduler see what a trial had reached before, epoch by epoch, as it saw it then."""
    for epoch, value in rungs.items():
        scheduler.on_trial_result(None, trial, {EPOCH: epoch, goal.scheduler_metric: value})


def _ask(trial: optuna.Trial, key: str, law: BaseDistribution) -> None:
    """One parameter by its distribution (Optuna's own `ask` does the same for all of them at once)."""
    trial._suggest(key, law)


def _last_words(trial: Trial | None) -> str:
    """Why a trial crashed, from the file that Tune writes before it says so."""
    file = Path(trial.error_file) if trial is not None and trial.error_file else None
    lines = [line.strip() for line in file.read_text().splitlines() if line.strip()] if file and file.exists() else []
    if any("ActorUnavailableError" in line for line in lines):
        return UNREACHABLE
    if any("ActorDiedError" in line for line in lines):
        return "the trial's process died (killed, out of memory, or its node went away)"
    return f"the trial raised an error: {lines[-1]}" if lines else "the trial raised an error"
