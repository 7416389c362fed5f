"""The bridge from Ray Tune to Optuna: Tune schedules, Optuna remembers and suggests, by ask and tell.

Every trial's end is told with the state that is true of it:

    reached its last epoch with a finite metric      COMPLETE with the value
    stopped by the scheduler or by the wall time     PRUNED with its intermediate values
    crashed, or its metric is missing, NaN or inf    FAIL with the reason

A study that is opened again continues: what finished counts towards the budget, what was running when the driver died
is told FAIL and its point is enqueued again, baselines are enqueued once, and the sampler's seed depends on the number
of trials so far, so that a reopened study does not repeat its suggestions.
"""

import math
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from search_spaces import Space
from trainables.config import require_member
from trainables.epoch import metrics_of
from trainables.names import CHECKPOINT_PATH, EPOCH
from trainables.seeding import derive

RAY_TRIAL = "ray_trial_id"
REASON = "reason"
RETRIED = "enqueued_again"
METRICS = "metrics"  # of the latest epoch
FOLDER = "folder"  # where Tune keeps the trial

SAMPLERS: dict[str, Any] = {
    "tpe": lambda seed: TPESampler(seed=seed, multivariate=True, n_startup_trials=5),
    "gp": lambda seed: GPSampler(seed=seed, n_startup_trials=5),
    "nsga2": lambda seed: NSGAIISampler(seed=seed),
    "qmc": lambda seed: QMCSampler(seed=seed, scramble=True),
    "random": lambda seed: RandomSampler(seed=seed),
}


def make_sampler(name: str, seed: int, trials_so_far: int) -> BaseSampler:
    """The named sampler, seeded by the study's seed and the number of trials that exist already."""
    require_member("sampler", name, SAMPLERS)
    sampler: BaseSampler = SAMPLERS[name](derive(seed, "sampler", trials_so_far) % 2**32)
    return sampler


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count towards the budget: they ran to a result or were stopped with one, or failed on their own."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state.is_finished() and not trial.user_attrs.get(RETRIED)]


def recover_orphans(study: optuna.Study) -> int:
    """Tell FAIL for every trial that a dead driver left RUNNING and enqueue its point again; returns how many."""
    orphans = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for orphan in orphans:
        storage = study._storage
        storage.set_trial_user_attr(orphan._trial_id, REASON, "the driver ended before the trial did")
        storage.set_trial_user_attr(orphan._trial_id, RETRIED, True)
        study.tell(orphan.number, state=TrialState.FAIL)
        study.enqueue_trial({**orphan.system_attrs.get("fixed_params", {}), **orphan.params})
    return len(orphans)


def enqueue_baselines(study: optuna.Study, space: Space) -> None:
    """Enqueue the space's baseline points once in the life of a study."""
    for point in space.baselines:
        if set(point) == set(space.parameters):
            study.enqueue_trial(dict(point), skip_if_exists=True)


class OptunaBridge(Searcher):
    """Suggests by `study.ask` and answers by `study.tell`.

    Args:
        study: An open study; the only place where results are kept.
        space: What varies, and the metric that is minimised.
        trials: The budget, trials of earlier runs of this study included.
        last_epoch: A trial that ends before this epoch was stopped.
    """

    def __init__(self, study: optuna.Study, space: Space, trials: int, last_epoch: int) -> None:
        super().__init__(metric=space.metric, mode="min")
        self.study = study
        self.space = space
        self.trials = trials
        self.last_epoch = last_epoch
        self.running: dict[str, optuna.Trial] = {}
        self.reported: dict[int, int] = {}  # trial number -> its latest epoch

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a string
        """The next point, by dotted key; FINISHED when the budget is met."""
        if len(finished(self.study)) + len(self.running) >= self.trials:
            return Searcher.FINISHED if not self.running else None
        trial = self.study.ask(dict(self.space.parameters))
        trial.set_user_attr(RAY_TRIAL, trial_id)
        self.running[trial_id] = trial
        return dict(trial.params)

    def folder_name(self, trial: Trial) -> str:
        """The folder of a Tune trial: the study's number for it, and Tune's own id, which differs between retries."""
        return f"trial-{self.running[trial.trial_id].number:04d}-{trial.trial_id}"

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Keep the metric of an epoch as an intermediate value."""
        if trial_id in self.running:
            self._keep(self.running[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Tell how a trial ended; a trial is told once."""
        trial = self.running.pop(trial_id, None)
        if trial is None:
            return
        result = result or {}
        self._keep(trial, result)  # Tune hands the result that ends a trial to this call alone
        state, value, reason = self._outcome(result, error)
        if reason:
            trial.set_user_attr(REASON, reason)
        self.study.tell(trial, value, state=state)

    def _outcome(self, result: Mapping[str, Any], error: bool) -> tuple[TrialState, float | None, str]:
        value = result.get(self.space.metric)
        if error:
            return TrialState.FAIL, None, "the trial raised an error"
        if value is None:
            return TrialState.FAIL, None, f"{self.space.metric} was never reported"
        if not math.isfinite(value):
            return TrialState.FAIL, None, f"{self.space.metric} is {value}"
        if result[EPOCH] < self.last_epoch:
            return TrialState.PRUNED, None, f"stopped after epoch {result[EPOCH]} of {self.last_epoch}"
        return TrialState.COMPLETE, float(value), ""

    def _keep(self, trial: optuna.Trial, result: Mapping[str, Any]) -> None:
        """The metric as an intermediate value, all metrics of the latest epoch beside it."""
        value = result.get(self.space.metric)
        if not isinstance(value, int | float) or not math.isfinite(value):
            return
        self._report(trial, float(value), int(result[EPOCH]))
        trial.set_user_attr(METRICS, metrics_of(result))
        if CHECKPOINT_PATH in result:
            trial.set_user_attr(CHECKPOINT_PATH, result[CHECKPOINT_PATH])

    def _report(self, trial: optuna.Trial, value: float, epoch: int) -> None:
        """Report an epoch once: Tune repeats the last result, and a restarted trial what came after its checkpoint."""
        if epoch > self.reported.get(trial.number, -1):
            trial.report(value, step=epoch)
            self.reported[trial.number] = epoch

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study's storage has everything."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the study's storage has everything."""


def close_unfinished(bridge: OptunaBridge) -> None:
    """Tell the trials that were running when the time was over: stopped, with the intermediate values they have."""
    for trial_id, trial in list(bridge.running.items()):
        reported = bool(bridge.study.get_trials(deepcopy=False)[trial.number].intermediate_values)
        trial.set_user_attr(REASON, "stopped when the sweep's time was over")
        bridge.study.tell(trial, state=TrialState.PRUNED if reported else TrialState.FAIL)
        del bridge.running[trial_id]
