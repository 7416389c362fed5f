"""What a study has done of its budget, and what it still has to run."""

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState

from platform.study.resume import REPEATS, requeued, resumed_from
from search_spaces import Space

STORAGE_ERRORS = (OSError, StorageInternalError)  # what a journal raises on a full disk, and what a database does


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count towards the budget: they ran to a result or were stopped with one, or failed on their own."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state.is_finished() and _counts(trial)]


def _counts(trial: FrozenTrial) -> bool:
    return not requeued(trial) and REPEATS not in trial.user_attrs


def trials_to_run(study: optuna.Study, trials: int) -> int:
    """How many trials a search still has to run: up to the budget, and those that were begun before."""
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    begun = sum(resumed_from(trial) is not None and REPEATS not in trial.user_attrs for trial in waiting)
    return max(trials - len(finished(study)), begun)


def waiting_repeats(study: optuna.Study) -> int:
    """Trainings with other seeds that are asked for and have not begun, or were cut."""
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return sum(REPEATS in trial.user_attrs for trial in waiting)


def is_owed(trial: FrozenTrial) -> bool:
    """Whether a waiting trial has been begun or asked for beside the search."""
    return resumed_from(trial) is not None or REPEATS in trial.user_attrs


def enqueue_baselines(study: optuna.Study, space: Space, trials: int) -> None:
    """Enqueue the space's baseline points once in the life of a study, as far as the budget of trials reaches."""
    for point in space.baselines[:trials]:
        if set(point) == {key for key in space.parameters if space.active(key, point)}:
            study.enqueue_trial(dict(point), skip_if_exists=True)


def reason_of(error: BaseException) -> str:
    """Why a study cannot be written: a database's own words stand behind Optuna's."""
    return next(iter(str(error.__cause__ or error).splitlines()), type(error).__name__)
