"""Trials that a study has finished of its budget, and those that it still has to run."""

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState

from platform.study.resume import PRIOR, REPEATS, point_of, requeued, resumed_from
from platform.study.sweep import Sweep
from search_spaces import Space

STORAGE_ERRORS = (OSError, StorageInternalError)  # raised by a journal on a full disk, and by a database


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count towards the budget: COMPLETE, PRUNED, or FAIL through a fault of their own."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state.is_finished() and _counts(trial)]


def _counts(trial: FrozenTrial) -> bool:
    return not requeued(trial) and not {REPEATS, PRIOR} & trial.user_attrs.keys()


def trials_to_run(study: optuna.Study, trials: int) -> int:
    """Return how many trials a search still has to run: up to the budget, and those that are to be resumed."""
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    resuming = sum(resumed_from(trial) is not None and REPEATS not in trial.user_attrs for trial in waiting)
    return max(trials - len(finished(study)), resuming)


def waiting_repeats(study: optuna.Study) -> int:
    """Return the number of repeats with other seeds that have not started or were interrupted."""
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return sum(REPEATS in trial.user_attrs for trial in waiting)


def is_queued(trial: FrozenTrial) -> bool:
    """Whether a waiting trial resumes another one or is a repeat, so that it runs beyond the budget."""
    return resumed_from(trial) is not None or REPEATS in trial.user_attrs


def enqueue_baselines(study: optuna.Study, space: Space, trials: int) -> None:
    """Enqueue the baselines of the space once per study, as far as the budget of trials allows."""
    for point in space.baselines[:trials]:
        if set(point) == {key for key in space.parameters if space.active(key, point)}:
            study.enqueue_trial(dict(point), skip_if_exists=True)


def default_trial(study: optuna.Study, sweep: Sweep) -> int | None:
    """Return the number of the trial of the default configuration; None where the study has none."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if _counts(trial)]
    numbers = (trial.number for trial in trials if sweep.default is not None and point_of(trial) == dict(sweep.default))
    return next(numbers, None)


def reason_of(error: BaseException) -> str:
    """Return why a study cannot be written; a database's own message is the cause of Optuna's."""
    return next(iter(str(error.__cause__ or error).splitlines()), type(error).__name__)
