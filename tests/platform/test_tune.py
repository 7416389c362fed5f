"""The command of a sweep: the scheduler's memory, what makes trials comparable, and the order of its phases."""

import io
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler
from rich.console import Console

from platform import tune
from platform.study.comparable import COMPARABLE
from platform.study.config import BudgetConfig, FinalistsConfig, SchedulerConfig, TuneConfig
from platform.study.ranking import OBJECTIVES
from platform.study.resume import REQUEUED, requeue_orphans
from platform.study.study import enqueue_repeats
from platform.study.sweep import Sweep
from platform.sweep import command, runner, verbs
from platform.sweep import reproduce as reproduction
from platform.sweep.command import study_record
from platform.sweep.runner import concurrency, make_scheduler
from search_spaces import SPACES
from tests.platform.drivers import SPACE, Driver
from tests.platform.studies import study_in
from trainables.core.cli import WRONG_INPUT, run
from trainables.data.splits.data_splits import DataSplits
from trainables.training.metric_names import EPOCH, VAL_AUC_EXCESS, VAL_MMD, VAL_RECALL
from trainables.training.scaling import ScalingConfig

DATA = cast(DataSplits, SimpleNamespace(sha256="d1"))


def sweep_of(epochs: int, metric: str = VAL_AUC_EXCESS, **settings: Any) -> Sweep:
    halving = SchedulerConfig(grace_epochs=1, reduction_factor=2.0, metric=metric)
    return Sweep(TuneConfig(scheduler=halving, **settings), {"epochs": epochs}, SPACE, ())


def decisions(asha: Any, name: str, values: list[float], metric: str) -> list[str]:
    """Return the decisions of ASHA after each epoch of a trial, until it stops it."""
    trial = cast(Trial, SimpleNamespace(trial_id=name))
    asha.on_trial_add(None, trial)
    printed: list[str] = []
    for epoch, value in enumerate(values):
        printed.append(asha.on_trial_result(None, trial, {EPOCH: epoch, metric: value}))
        if printed[-1] == AsyncHyperBandScheduler.STOP:
            break
    return printed


def add_ended(study: optuna.Study, values: list[float], state: TrialState, **attributes: Any) -> None:
    history = dict(enumerate(values))
    ended = optuna.trial.create_trial(
        state=state,
        value=values[-1] if state == TrialState.COMPLETE else None,
        intermediate_values=history,
        user_attrs=attributes,
    )
    study.add_trial(ended)


@pytest.mark.parametrize("metric", [VAL_AUC_EXCESS, VAL_RECALL])
@pytest.mark.parametrize("seed", range(5))
def test_a_reopened_scheduler_decides_as_one_with_all_trials_of_the_study(seed: int, metric: str) -> None:
    """For any number of earlier trials; the metric is minimised in one case and maximised in the other."""
    rng, epochs = random.Random(seed), 9
    sweep, study = sweep_of(epochs, metric), optuna.create_study()
    whole: Any = make_scheduler(sweep, study)
    differs = False
    for number in range(25):
        values = [rng.random() for _ in range(epochs + 1)]
        reopened = make_scheduler(sweep, study)
        decided = decisions(whole, f"trial-{number}", values, metric)
        assert decisions(reopened, f"again-{number}", values, metric) == decided
        differs |= decisions(make_scheduler(sweep, optuna.create_study()), "fresh", values, metric) != decided
        state = TrialState.COMPLETE if len(decided) == len(values) else TrialState.PRUNED
        add_ended(study, values[: len(decided)], (state, TrialState.FAIL)[number % 5 == 4])
    assert differs  # the other side: one without a memory decides otherwise


def test_an_interrupted_trial_is_listed_once_as_its_successor() -> None:
    sweep, study = sweep_of(9), optuna.create_study()
    for value in (0.1, 0.2, 0.3, 0.4):
        add_ended(study, [value] * 2, TrialState.PRUNED)
    before = decisions(make_scheduler(sweep, study), "next", [0.25] * 10, VAL_AUC_EXCESS)
    for _ in range(8):
        add_ended(study, [0.01] * 2, TrialState.FAIL, **{REQUEUED: True})
    assert decisions(make_scheduler(sweep, study), "next", [0.25] * 10, VAL_AUC_EXCESS) == before


def test_a_study_of_two_objectives_has_the_same_memory(tmp_path: Path) -> None:
    """By the rung metric, which need not be the first objective."""
    settings: dict[str, Any] = {"objectives": (VAL_AUC_EXCESS, VAL_MMD), "scheduler_metric": VAL_MMD}
    driver = Driver(tmp_path, **settings)
    for value in (0.1, 0.2, 0.3):
        driver.end(driver.start(), 2, 0.5 - value, **{VAL_MMD: value})
    values = [1.0, 1.0, 0.25]
    fresh, remembering = (make_scheduler(driver.sweep, study) for study in (optuna.create_study(), driver.study))
    assert decisions(fresh, "next", values, VAL_MMD)[-1] == AsyncHyperBandScheduler.CONTINUE
    assert decisions(remembering, "next", values, VAL_MMD)[-1] == AsyncHyperBandScheduler.STOP


def test_without_rungs_nothing_is_stopped() -> None:
    assert isinstance(make_scheduler(sweep_of(1), optuna.create_study()), FIFOScheduler)


def test_the_record_of_a_study_holds_all_that_makes_trials_comparable() -> None:
    sweep = sweep_of(9, objectives=(VAL_AUC_EXCESS, VAL_MMD), constraints=("val/recall>=0.5",))
    record = study_record(sweep, DATA)
    assert set(COMPARABLE) <= set(record)
    assert (record["data_sha256"], record[OBJECTIVES]) == ("d1", [VAL_AUC_EXCESS, VAL_MMD])
    assert (record["constraints"], record["scheduler_metric"]) == (["val/recall>=0.5"], VAL_AUC_EXCESS)
    assert record["config_hash"] == study_record(sweep, DATA)["config_hash"]
    assert record["config_hash"] != study_record(sweep_of(8), DATA)["config_hash"]
    other = Sweep(sweep.settings, sweep.trainable, SPACES["diffusion"], ())
    assert record["config_hash"] != study_record(other, DATA)["config_hash"]


@pytest.mark.parametrize(
    ("cpus", "per_trial", "most", "expected"),
    [(8, 1, 0, 8), (8, 3, 0, 2), (8, 1, 3, 3), (2, 1, 5, 2), (1, 4, 0, 1), (1, 4, 2, 1)],
)
def test_concurrent_trials_never_wait_for_each_other(cpus: int, per_trial: int, most: int, expected: int) -> None:
    scaling, budget = ScalingConfig(cpus_per_worker=per_trial), BudgetConfig(concurrent=most)
    assert concurrency(TuneConfig(scaling=scaling, budget=budget), cpus) == expected


class Phases(list[tuple[int, bool]]):
    """Replaces the run of a sweep: records the number of trials of each phase, and whether they may be stopped."""

    in_time = True

    def __call__(
        self,
        console: Console,
        sweep: Sweep,
        study: optuna.Study,
        remaining: int,
        cpus: int,
        trials: int,
        deadline: float,
    ) -> bool:
        self.append((remaining, trials > 0))
        return self.in_time


@pytest.fixture
def phases(monkeypatch: pytest.MonkeyPatch) -> Phases:
    found = Phases()
    monkeypatch.setattr(runner, "run_trials", found)
    return found


def searched(driver: Driver, repeats: int) -> str:
    """Run the phases of a sweep that has so many repeats of its best trial; what it prints."""
    text = io.StringIO()
    settings = vars(driver.sweep.settings) | {"finalists": FinalistsConfig(top=1, retrain_seeds=repeats)}
    sweep = Sweep(TuneConfig(**settings), driver.sweep.trainable, SPACE, ())
    runner.search_trials(Console(file=text), sweep, driver.study, cpus=2)
    return text.getvalue()


def test_repeats_run_after_the_search_and_are_not_stopped_on_their_way(tmp_path: Path, phases: Phases) -> None:
    driver = Driver(tmp_path, trials=2)
    driver.points(2)
    searched(driver, repeats=2)
    assert phases == [(2, False)]


def test_interrupted_repeats_are_resumed_as_repeats(tmp_path: Path, phases: Phases) -> None:
    """One had begun when its driver was killed, one had not; a scheduler that stopped them would spoil the s.e.m."""
    dead = Driver(tmp_path, trials=1)
    dead.points(1)
    enqueue_repeats(dead.study, top=1, repeats=2)
    dead.start()
    driver = Driver(tmp_path, trials=1)
    requeue_orphans(driver.study)
    phases.in_time = False
    searched(driver, repeats=2)
    assert phases == [(2, False)]


def test_no_repeat_starts_before_the_budget_of_trials_is_used_up(tmp_path: Path, phases: Phases) -> None:
    """The time limit was reached before the budget of trials."""
    driver = Driver(tmp_path, trials=3)
    driver.points(2)
    phases.in_time = False
    searched(driver, repeats=2)
    assert phases == [(1, True)]


def test_a_used_up_budget_without_repeats_runs_nothing(tmp_path: Path, phases: Phases) -> None:
    driver = Driver(tmp_path, trials=1)
    driver.points(1)
    assert searched(driver, repeats=0) == ""
    assert phases == []


def test_a_reproduction_gets_the_overrides_and_reads_no_data_by_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def reproduced(console: Console, sweep: Sweep, study: object, number: int, given: tuple[str, ...]) -> int:
        calls.append((study, number, given))
        return int(number == 5)

    monkeypatch.setattr(reproduction, "reproduce", reproduced)
    monkeypatch.setattr(verbs, "load_study", lambda *place: "study")
    monkeypatch.setattr(command, "load_splits", lambda config: pytest.fail("the data of the command line were read"))
    printed = [f"storage_path={tmp_path}", "trials=[3,5]", "trainable.data.companding_px=0.5"]
    assert run(tune.COMMAND, tune.main, ["reproduce", *printed]) == 1
    given = ("storage_path", "trials", "trainable.data.companding_px")
    assert calls == [("study", 3, given), ("study", 5, given)]


def test_every_verb_of_the_command_does_something() -> None:
    assert set(verbs.VERBS) == {"", *tune.COMMAND.verbs}


@pytest.mark.parametrize("verb", ["list", "show", "compare", "report"])
@pytest.mark.parametrize(
    ("override", "law"),
    [("trainable.epochs=abc", "`trainable.epochs` to be an int"), ("trainable.epochs=0", "`epochs >= 1`")],
)
def test_a_wrong_value_of_the_trainable_is_refused_beside_a_verb_that_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, override: str, law: str
) -> None:
    assert run(tune.COMMAND, tune.main, [verb, f"storage_path={tmp_path}", override]) == WRONG_INPUT
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert law in error


@pytest.mark.parametrize("verb", ["show", "compare", "report", "reproduce"])
def test_a_study_searched_by_a_metric_that_is_no_longer_measured_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    study = study_in(tmp_path / "old", ("val/c2st_excess",), version="0.2.0", scheduler_metric="val/c2st_excess")
    for value in (0.1, 0.2):
        add_ended(study, [value], TrialState.COMPLETE)
    before = {path: path.stat().st_size for path in tmp_path.rglob("*")}
    arguments = [f"storage_path={tmp_path}", "study_name=old", "trials=[0,1]"]
    assert run(tune.COMMAND, tune.main, [verb, *arguments]) == WRONG_INPUT
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert error.startswith(
        "error: study_name=old: expected a study of metrics that are still measured, but got val/c2st_excess, by which "
        "version 0.2.0 searched it; choose another study_name: "
    )
    assert {path: path.stat().st_size for path in tmp_path.rglob("*")} == before


def test_the_list_names_a_study_searched_by_a_metric_that_is_no_longer_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study_in(tmp_path / "old", ("val/c2st_excess",), version="0.2.0", scheduler_metric="val/c2st_excess")
    assert run(tune.COMMAND, tune.main, ["list", f"storage_path={tmp_path}"]) == 0
    out, error = capsys.readouterr()
    assert out.splitlines()[0].startswith("unreadable: study_name=old: expected a study of metrics that are still")
    assert error == ""


def test_reproduce_names_its_trials_and_its_former_key_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "load_study", lambda *place: "study")
    for arguments, line in (
        (["reproduce=3"], "error: `reproduce=3` was renamed: use python -m platform.tune reproduce trials=[3]\n"),
        (["space=ranking"], "error: `space=ranking` was renamed: use space=diffusion_ranking_loss\n"),
        (["reproduce"], "error: expected `trials` to name what to reproduce, but got none; add trials=[3]\n"),
    ):
        assert run(tune.COMMAND, tune.main, [f"storage_path={tmp_path}", *arguments]) == WRONG_INPUT
        assert capsys.readouterr() == ("", line)
