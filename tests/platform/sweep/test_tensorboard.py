"""Event files of a sweep, read back as TensorBoard reads them."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from ray.tune.experiment import Trial
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from tensorboard.plugins.hparams import metadata  # type: ignore[import-untyped]

from platform.study.objectives import Goal, Objective
from platform.study.searcher import OptunaSearcher
from platform.sweep.tensorboard import TensorBoard
from search_spaces import Space
from trainables.training.metric_names import EPOCH, TRAIN_LOSS, VAL_AUC_EXCESS, VAL_MMD
from trainables.training.trainable import metrics_of

SPACE = Space(
    "diffusion",
    {"optim.lr": FloatDistribution(1e-4, 1e-2), "probe": CategoricalDistribution(("linear",))},
    (),
)
GOAL = Goal((Objective.parse(VAL_AUC_EXCESS),), (), VAL_AUC_EXCESS, 4)


class Sweep:
    """A searcher over a study in memory, and Tune's calls in its order."""

    def __init__(self, folder: Path) -> None:
        self.searcher = OptunaSearcher(optuna.create_study(), SPACE, 10, GOAL)
        self.board = TensorBoard(self.searcher, folder)
        self.folder = folder

    def start(self, name: str) -> Trial:
        trial = cast(Trial, SimpleNamespace(trial_id=name, path=f"/results/{name}", last_result=None))
        self.searcher.suggest(name)
        self.board.on_trial_start(0, [], trial)
        return trial

    def report(self, trial: Trial, result: dict[str, Any]) -> None:
        self.board.on_trial_result(0, [], trial, result)
        vars(trial).update(last_result=result)

    def read(self, number: int) -> EventAccumulator:
        return EventAccumulator(str(self.folder / f"trial-{number:04d}")).Reload()


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path)


def result(epoch: int) -> dict[str, Any]:
    """A result as Tune hands it on: our metrics among Tune's own keys."""
    return {EPOCH: epoch, TRAIN_LOSS: 1 / (epoch + 1), VAL_MMD: 0.5**epoch, "time_total_s": 3.0, "node_ip": "::1"}


def test_metrics_are_read_back_by_our_names_at_our_epochs(sweep: Sweep) -> None:
    trial = sweep.start("a")
    for epoch in range(3):
        sweep.report(trial, result(epoch))
    read = sweep.read(0)  # before the trial ends: it is readable while it runs
    assert set(read.Tags()["scalars"]) == {TRAIN_LOSS, VAL_MMD}
    assert [(event.step, event.value) for event in read.Scalars(VAL_MMD)] == [(0, 1.0), (1, 0.5), (2, 0.25)]
    sweep.board.on_trial_complete(0, [], trial)


def test_values_that_are_not_finite_are_left_out(sweep: Sweep) -> None:
    trial = sweep.start("a")
    sweep.report(trial, {**result(0), TRAIN_LOSS: math.nan})
    sweep.report(trial, {**result(1), VAL_MMD: math.inf})
    read = sweep.read(0)
    assert [event.step for event in read.Scalars(TRAIN_LOSS)] == [1]
    assert [event.step for event in read.Scalars(VAL_MMD)] == [0]
    sweep.board.on_trial_complete(0, [], trial)


@pytest.mark.parametrize("ending", ["on_trial_complete", "on_trial_error"])
def test_the_trials_own_run_holds_its_parameters_as_hparams(sweep: Sweep, ending: str) -> None:
    trial = sweep.start("a")
    params = dict(sweep.searcher.running["a"].params)
    sweep.report(trial, result(4))
    getattr(sweep.board, ending)(0, [], trial)
    tags = sweep.read(0).summary_metadata
    start = metadata.parse_session_start_info_plugin_data(tags["_hparams_/session_start_info"].plugin_data.content)
    experiment = metadata.parse_experiment_plugin_data(tags["_hparams_/experiment"].plugin_data.content)
    assert start.hparams["optim.lr"].number_value == params["optim.lr"]
    assert start.hparams["probe"].string_value == "linear"
    assert {info.name.tag for info in experiment.metric_infos} == {TRAIN_LOSS, VAL_MMD}
    assert [path.name for path in sweep.folder.iterdir()] == ["trial-0000"]


def test_a_trial_that_never_reported_still_shows_its_parameters(sweep: Sweep) -> None:
    trial = sweep.start("a")
    sweep.board.on_trial_error(0, [], trial)
    assert "_hparams_/session_start_info" in sweep.read(0).summary_metadata


def test_concurrent_trials_have_separate_runs(sweep: Sweep) -> None:
    first, second = sweep.start("a"), sweep.start("b")
    sweep.report(second, result(1))
    sweep.report(first, result(0))
    for trial in (first, second):
        sweep.board.on_trial_complete(0, [], trial)
    for number in (0, 1):
        assert [event.step for event in sweep.read(number).Scalars(VAL_MMD)] == [number]


def test_a_restarted_trial_continues_its_tensorboard_run(sweep: Sweep) -> None:
    trial = sweep.start("a")
    sweep.report(trial, result(0))
    sweep.board.on_trial_start(1, [], trial)
    sweep.report(trial, result(1))
    sweep.board.on_trial_complete(0, [], trial)
    assert [event.step for event in sweep.read(0).Scalars(VAL_MMD)] == [0, 1]
    assert len(list((sweep.folder / "trial-0000").iterdir())) == 1


def test_an_ended_trial_and_an_unknown_one_write_nothing(sweep: Sweep) -> None:
    trial = sweep.start("a")
    sweep.board.on_trial_complete(0, [], trial)
    before = sorted(path.stat().st_size for path in sweep.folder.rglob("*"))
    unknown = cast(Trial, SimpleNamespace(trial_id="unknown", path="/", last_result=None))
    sweep.board.on_trial_start(0, [], unknown)
    for other in (trial, unknown):
        sweep.report(other, result(1))
        sweep.board.on_trial_error(0, [], other)
    assert sorted(path.stat().st_size for path in sweep.folder.rglob("*")) == before


def test_our_metrics_are_the_finite_numbers_with_a_slash() -> None:
    mixed = {EPOCH: 3, VAL_MMD: 2, "val/nan": math.nan, "val/inf": -math.inf, "node/name": "host", "loss": 1.0}
    assert metrics_of(mixed) == {VAL_MMD: 2.0}
