"""Exactly once: each part of a sweep is killed for real, and the same command ends what was begun."""

import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from platform.study.budget import finished
from platform.study.resume import RESUMED_FROM, START, requeued, resumed_from
from search_spaces import SPACES
from tests.ray.standin import HELD_EPOCH, HOLD, LATE
from tests.ray.sweeps import Sweep, running
from trainables.training.metric_names import EPOCH

pytestmark = [pytest.mark.ray, pytest.mark.heavy]

BASE = ("scheduler.grace_epochs=50", "finalists.top=0", "budget.time_limit=1h")
GROUPS = ("scaling.num_workers=1", "scaling.max_failures=1")


@dataclass(frozen=True)
class Case:
    """An interruption of a sweep.

    Attributes:
        interrupt: Kills a part of the sweep, or ends it.
        code: Of the run that it happens to; None is any but 0.
        again: Whether the same command is needed again to meet the budget.
    """

    interrupt: Callable[[Sweep], None]
    code: int | None
    again: bool = True
    trials: int = 3
    epochs: int = 8
    scaling: tuple[str, ...] = ()

    def sweep(self, home: Path) -> Sweep:
        """Start one run of the command."""
        return Sweep(home, *BASE, f"budget.trials={self.trials}", f"trainable.epochs={self.epochs}", *self.scaling)


def under_way(study: optuna.Study) -> bool:
    """Whether a running trial has a checkpoint and waits, far from its end."""
    return any(trial.last_step == HELD_EPOCH - 1 for trial in running(study))


def kill(processes: list[psutil.Process]) -> None:
    """SIGKILL to the first of them."""
    assert processes
    processes[0].send_signal(signal.SIGKILL)


CASES = {
    "driver": Case(lambda sweep: sweep.send(signal.SIGKILL), -signal.SIGKILL),
    "driver of groups": Case(lambda sweep: sweep.send(signal.SIGKILL), -signal.SIGKILL, True, 2, 6, GROUPS),
    "ctrl-c": Case(lambda sweep: sweep.send(signal.SIGINT), 130),
    "wall time": Case(lambda sweep: sweep.signal(LATE).touch(), 0),
    "raylet": Case(lambda sweep: kill(sweep.processes("raylet/raylet")), None),  # trials outlive it by 20 s
    "trial": Case(lambda sweep: kill(sweep.held()), 0, again=False),
    "train worker": Case(lambda sweep: kill(sweep.processes("RayTrainWorker")), 0, False, 2, 6, GROUPS),
}


def check_exactly_once(study: optuna.Study, case: Case) -> None:
    """No finished trial repeats, none is lost, exactly the budget is run, and every epoch of each is recorded."""
    counted = finished(study)
    assert [trial.state for trial in counted] == [TrialState.COMPLETE] * case.trials
    assert len({tuple(trial.params.items()) for trial in counted}) == case.trials
    baseline = {key: value for key, value in SPACES["diffusion"].baselines[0].items() if key != "model.base_channels"}
    assert sum(trial.params == baseline for trial in counted) == 1
    for trial in counted:
        assert sorted(trial.intermediate_values) == list(range(case.epochs + 1))
    trials = study.get_trials(deepcopy=False)
    cut = [trial.number for trial in trials if requeued(trial)]
    assert Counter(number for trial in trials if (number := resumed_from(trial)) is not None) == Counter(cut)
    assert len(trials) == case.trials + len(cut)


def check_resumed(study: optuna.Study) -> None:
    """An interrupted trial was resumed from a checkpoint, with the values reported up to there."""
    trials = study.get_trials(deepcopy=False)
    # one that was interrupted again before its first report has no values yet; its successor has them
    starts = [trial for trial in trials if START in trial.user_attrs and trial.intermediate_values]
    for trial in starts:
        before = trials[trial.user_attrs[RESUMED_FROM]].intermediate_values
        kept = {epoch: value for epoch, value in before.items() if epoch <= trial.user_attrs[START][EPOCH]}
        assert {epoch: trial.intermediate_values[epoch] for epoch in kept} == kept
    assert max(trial.user_attrs[START][EPOCH] for trial in starts) >= 1


@pytest.mark.parametrize("name", CASES)
def test_the_same_command_ends_what_was_interrupted(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    first = case.sweep(tmp_path)
    first.signal(HOLD).touch()
    first.until(lambda study: under_way(study) and bool(first.held()))
    first.processes("")
    case.interrupt(first)
    if not case.again:  # where the sweep survives, it ends what was interrupted
        first.signal(HOLD).unlink()
    code = first.wait()
    assert first.left_behind() == []
    assert code == case.code or (case.code is None and code > 0), first.output()
    assert ("time limit reached" in first.output()) == (name == "wall time")
    if case.again:
        first.signal(HOLD).unlink()
        first.signal(LATE).unlink(missing_ok=True)
        again = case.sweep(tmp_path)
        assert again.wait() == 0, again.output()
        assert ("that an earlier run left unfinished" in again.output()) == (name != "wall time")  # then at its end
    check_exactly_once(first.study(), case)
    if name != "train worker":  # Ray Train starts the group again within the trial
        check_resumed(first.study())
