"""Exactly once: each part of a sweep is killed for real, and the same command ends what was begun."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from platform.study.resume import RESUMES, RETRIED, START
from platform.study.searcher import finished
from search_spaces import SPACES
from tests.ray.sweeps import Sweep, running
from trainables.training.metric_names import EPOCH

pytestmark = [pytest.mark.ray, pytest.mark.heavy]

BASE = ("scheduler.grace_epochs=50", "finalists.top=0")
GROUPS = ("scaling.num_workers=1", "scaling.max_failures=1")


@dataclass(frozen=True)
class Case:
    """Who is killed, in a sweep of how many trials and epochs, and the exit code of the run that it happens to."""

    kill: Callable[[Sweep], None]
    code: int | None
    trials: int = 3
    epochs: int = 8
    laws: tuple[str, ...] = ()

    @property
    def overrides(self) -> tuple[str, ...]:
        """Of the command."""
        return (*BASE, f"budget.trials={self.trials}", f"trainable.epochs={self.epochs}", *self.laws)

    def sweep(self, home: Path) -> Sweep:
        """One run of the command."""
        return Sweep(home, *self.overrides)


def under_way(study: optuna.Study) -> bool:
    """Whether a running trial has a checkpoint and is far from its end."""
    return any(trial.last_step in (2, 3) for trial in running(study))


def kill(processes: list[psutil.Process]) -> None:
    """SIGKILL to the first of them."""
    assert processes
    processes[0].send_signal(signal.SIGKILL)


CASES = {
    "driver": Case(lambda sweep: os.kill(sweep.process.pid, signal.SIGKILL), -signal.SIGKILL),
    "driver of groups": Case(lambda sweep: os.kill(sweep.process.pid, signal.SIGKILL), -signal.SIGKILL, 2, 6, GROUPS),
    "ctrl-c": Case(lambda sweep: os.kill(sweep.process.pid, signal.SIGINT), 130),
    "raylet": Case(lambda sweep: kill(sweep.processes("raylet/raylet")), None, 2, 40),  # trials outlive it by 20 s
    "trial": Case(lambda sweep: kill(sweep.processes("ImplicitFunc")), 0),
    "train worker": Case(lambda sweep: kill(sweep.processes("RayTrainWorker")), 0, 2, 6, GROUPS),
}


def check_exactly_once(study: optuna.Study, case: Case) -> None:
    """No finished trial repeats, none is lost, the budget is met exactly, and every epoch of each is there."""
    counted = finished(study)
    assert [trial.state for trial in counted] == [TrialState.COMPLETE] * case.trials
    assert len({tuple(trial.params.items()) for trial in counted}) == case.trials
    baseline = {key: value for key, value in SPACES["diffusion"].baselines[0].items() if key != "model.base_channels"}
    assert sum(trial.params == baseline for trial in counted) == 1
    for trial in counted:
        assert sorted(trial.intermediate_values) == list(range(case.epochs + 1))
    trials = study.get_trials(deepcopy=False)
    cut = [trial.number for trial in trials if trial.user_attrs.get(RETRIED)]
    assert Counter(trial.user_attrs[RESUMES] for trial in trials if RESUMES in trial.user_attrs) == Counter(cut)
    assert len(trials) == case.trials + len(cut)


def check_went_on(study: optuna.Study) -> None:
    """A cut trial went on from a checkpoint, with the values that its predecessor had reported up to there."""
    trials = study.get_trials(deepcopy=False)
    starts = [trial for trial in trials if START in trial.user_attrs]
    for trial in starts:
        before = trials[trial.user_attrs[RESUMES]].intermediate_values
        kept = {epoch: value for epoch, value in before.items() if epoch <= trial.user_attrs[START][EPOCH]}
        assert {epoch: trial.intermediate_values[epoch] for epoch in kept} == kept
    assert max(trial.user_attrs[START][EPOCH] for trial in starts) >= 1


def test_what_the_wall_time_cuts_goes_on_when_there_is_time_again(tmp_path: Path) -> None:
    case = Case(lambda sweep: None, 0, trials=2, epochs=40)
    for wall_s in (12, 36, 108):  # a busy machine may need longer until there is a checkpoint to go on from
        first = Sweep(tmp_path, *case.overrides, f"budget.wall={wall_s}s")
        code = first.wait()
        assert "time was over" in first.output()
        if any(max(trial.intermediate_values, default=0) > 0 for trial in first.study().get_trials(deepcopy=False)):
            assert code == 0, first.output()  # to end by the time is to end as agreed; without any result it is not
            break
    again = Sweep(tmp_path, *case.overrides)
    assert again.wait() == 0, again.output()
    check_exactly_once(again.study(), case)
    check_went_on(again.study())


@pytest.mark.parametrize("name", CASES)
def test_the_same_command_ends_what_a_killed_part_left(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    first = case.sweep(tmp_path)
    first.until(under_way)
    first.processes("")
    case.kill(first)
    code = first.wait()
    assert first.left_behind() == []
    if code != 0:
        again = case.sweep(tmp_path)
        assert again.wait() == 0, again.output()
        assert "left unfinished are enqueued again" in again.output()
    assert code == case.code or (case.code is None and code > 0), first.output()
    check_exactly_once(first.study(), case)
    if name != "train worker":  # Ray Train starts the group again within the trial
        check_went_on(first.study())
