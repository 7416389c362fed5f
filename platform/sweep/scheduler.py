"""Successive halving over configurations: trials that resume one another take one place in a rung."""

from types import SimpleNamespace
from typing import Any, cast

import optuna
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

from platform.study.resume import predecessors
from platform.study.searcher import OptunaSearcher


class OncePerConfiguration(FIFOScheduler):
    """Scheduler that asks successive halving, with all trials of one configuration under the name of the first.

    Tune names a retried trial anew, and its results would stand twice in the rungs that its predecessor had reached.
    """

    def __init__(self, halving: AsyncHyperBandScheduler, searcher: OptunaSearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.halving = halving
        self.searcher = searcher
        self.first: dict[str, Trial] = {}  # Tune's id of a trial -> a stand-in with the name of its configuration

    @property
    def metric(self) -> Any:
        """The metric that is compared."""
        return self.halving.metric

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Hand what Tune is configured with to the scheduler that compares."""
        return bool(self.halving.set_search_properties(metric, mode, **spec))

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Enter a trial under the first one of its configuration."""
        self.halving.on_trial_add(tune_controller, self._stand_in(trial))

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Return whether a trial continues after an epoch."""
        return self.halving.on_trial_result(tune_controller, self._stand_in(trial), result)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Enter the last result of a trial."""
        self.halving.on_trial_complete(tune_controller, self._stand_in(trial), result)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Forget a trial that never ran."""
        self.halving.on_trial_remove(tune_controller, self._stand_in(trial))

    def debug_string(self) -> str:
        """Return the rungs as text."""
        return self.halving.debug_string()

    def _stand_in(self, trial: Trial) -> Trial:
        """Return what successive halving takes for a trial, of which it only reads the id."""
        if trial.trial_id not in self.first:
            running = self.searcher.running.get(trial.trial_id)
            name = trial.trial_id if running is None else f"configuration-{_first(self.searcher.study, running.number)}"
            self.first[trial.trial_id] = cast(Trial, SimpleNamespace(trial_id=name))
        return self.first[trial.trial_id]


def _first(study: optuna.Study, number: int) -> int:
    """Return the trial that a trial resumes in the end; itself where it resumes none."""
    trials = study.get_trials(deepcopy=False)
    return [number, *predecessors(trials, trials[number])][-1]
