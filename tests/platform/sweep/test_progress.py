"""Progress of a running sweep: lines for a log, a table for a terminal."""

import io
import pickle
import re
import time
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from ray.tune.experiment import Trial
from rich.console import Console

from platform.core.console import describe
from platform.study.objectives import Goal, Objective
from platform.study.searcher import OptunaSearcher
from platform.sweep.progress import SHOWN, Progress
from search_spaces import Space
from trainables.core.formatting import clock, number
from trainables.training.metric_names import EPOCH, VAL_AUC_EXCESS, VAL_MMD
from trainables.training.trial_keys import FAILURE, INTERRUPTED

EPOCHS = 4
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
SPACE = Space(
    "diffusion",
    {"optim.lr": FloatDistribution(0.001, 0.001), "model.base_channels": CategoricalDistribution((64,))},
    (),
)
GOAL = Goal((Objective.parse(VAL_AUC_EXCESS),), (), VAL_AUC_EXCESS, EPOCHS)


class Clock:
    """Stands in for `time.monotonic`."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Sweep:
    """A searcher over a study in memory, a console that writes into `text`, and Tune's calls in its order."""

    def __init__(self, trials: int = 10, terminal: bool = False, study: optuna.Study | None = None) -> None:
        self.text = io.StringIO()
        self.study = study or optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        self.searcher = OptunaSearcher(self.study, SPACE, trials, GOAL)
        console = Console(file=self.text, force_terminal=terminal, width=100, height=40)
        self.progress = Progress(self.searcher, EPOCHS, time_limit_s=600.0, console=console)
        self.progress.setup(stop=None)

    def start(self, name: str) -> Trial:
        trial = cast(Trial, SimpleNamespace(trial_id=name, error_file=f"/results/{name}/error.txt"))
        assert isinstance(self.searcher.suggest(name), dict)
        self.progress.on_trial_start(0, [], trial)
        return trial

    def report(self, trial: Trial, epoch: int) -> dict[str, Any]:
        result = {EPOCH: epoch, VAL_AUC_EXCESS: 0.25, VAL_MMD: 0.01234}
        self.progress.on_trial_result(0, [], trial, result)
        return result

    def end(self, trial: Trial, epoch: int) -> None:
        self.searcher.on_trial_complete(trial.trial_id, self.report(trial, epoch))
        self.progress.on_trial_complete(0, [], trial)

    def fail(self, trial: Trial) -> None:
        self.searcher.on_trial_complete(trial.trial_id, error=True)
        self.progress.on_trial_error(0, [], trial)

    def lines(self) -> list[str]:
        return self.text.getvalue().splitlines()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time as the test sets it."""
    fake = Clock()
    monkeypatch.setattr(time, "monotonic", fake)
    return fake


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.9, "0:59"), (60, "1:00"), (245, "4:05"), (3599, "59:59"), (3600, "1:00:00"), (3845, "1:04:05")],
)
def test_a_clock_shows_hours_only_where_there_are_some(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_remaining_time_is_zero_after_the_time_limit() -> None:
    assert clock(-30) == "0:00"


def test_numbers_and_parameters_are_short() -> None:
    assert (number(None), number(0.12345), number(0.12345, 4)) == ("-", "0.123", "0.1235")
    assert describe({"optim.lr": 0.00123456, "model.base_channels": 64, "seed": 3}) == (
        "lr 0.00123  base_channels 64  seed 3"
    )


def test_a_log_has_one_plain_line_per_event(now: Clock) -> None:
    sweep = Sweep()
    first, second = sweep.start("a"), sweep.start("b")
    now.now += 5
    sweep.report(first, 0)
    sweep.end(first, EPOCHS)
    sweep.end(second, 2)
    sweep.fail(sweep.start("c"))
    assert sweep.lines() == [
        "   0:00  trial 0: lr 0.001  base_channels 64",
        "   0:00  trial 1: lr 0.001  base_channels 64",
        "   0:05  trial 0: epoch 0/4  AUC excess 0.250  MMD 0.0123  ~9:55 left",
        "   0:05  trial 0: epoch 4/4  AUC excess 0.250  MMD 0.0123  ~9:55 left",
        "   0:05  trial 0: COMPLETE at epoch 4",
        "   0:05  trial 1: epoch 2/4  AUC excess 0.250  MMD 0.0123  ~0:45 left",
        "   0:05  trial 1: PRUNED at epoch 2",
        "   0:05  trial 2: lr 0.001  base_channels 64",
        "   0:05  trial 2: FAIL; see /results/c/error.txt",
    ]


@pytest.mark.parametrize(("key", "state"), [(FAILURE, "FAIL"), (INTERRUPTED, "INTERRUPTED")])
def test_a_trial_that_reports_why_it_ends_is_neither_complete_nor_pruned(now: Clock, key: str, state: str) -> None:
    sweep = Sweep()
    trial = sweep.start("a")
    sweep.report(trial, EPOCHS)
    sweep.progress.on_trial_result(0, [], trial, {key: "no space is left on the disk"})
    sweep.progress.on_trial_complete(0, [], trial)
    assert sweep.lines()[2:] == [f"   0:00  trial 0: {state}: no space is left on the disk"]


def test_a_log_holds_no_control_characters_and_wraps_nothing() -> None:
    sweep = Sweep()
    sweep.searcher.space = Space("diffusion", {"x" * 200: FloatDistribution(0, 1)}, ())
    sweep.end(sweep.start("a"), EPOCHS)
    sweep.progress.close()
    assert len(sweep.lines()) == 3
    assert "x" * 200 in sweep.lines()[0]
    assert re.findall(r"[^\x20-\x7e\n]", sweep.text.getvalue()) == []


def test_steps_of_the_controller_are_no_events() -> None:
    sweep = Sweep()
    sweep.progress.on_step_end(0, [])
    assert sweep.lines() == []


def test_a_metric_that_was_not_computed_is_a_dash() -> None:
    sweep = Sweep()
    sweep.progress.on_trial_result(0, [], sweep.start("a"), {EPOCH: 1})
    assert "epoch 1/4  AUC excess -  MMD -" in sweep.lines()[-1]


def test_unknown_trials_print_nothing() -> None:
    sweep = Sweep()
    unknown = cast(Trial, SimpleNamespace(trial_id="unknown", error_file=""))
    sweep.progress.on_trial_start(0, [], unknown)
    sweep.report(unknown, 1)
    sweep.progress.on_trial_complete(0, [], unknown)
    sweep.progress.on_trial_error(0, [], unknown)
    assert sweep.lines() == []


def test_a_restarted_trial_is_announced_once() -> None:
    sweep = Sweep()
    sweep.progress.on_trial_start(1, [], sweep.start("a"))
    assert len(sweep.lines()) == 1


def test_the_remaining_time_is_the_time_limit_or_the_estimate_whichever_is_less(now: Clock) -> None:
    """Ten trials in 600 s: at 100 s a trial, the nine that remain would pass the wall; at 12 s they do not."""
    for spent, left in ((100.0, 500.0), (12.0, 9 * 12.0)):
        sweep = Sweep(trials=10)
        trial = sweep.start("a")
        now.now += spent
        assert sweep.progress.remaining_s() == 600.0 - spent
        sweep.end(trial, EPOCHS)
        assert sweep.progress.remaining_s() == pytest.approx(left)


def test_trials_of_earlier_runs_are_not_waited_for(now: Clock) -> None:
    """Eight of ten were done before: after one of the last two, one is left."""
    earlier = Sweep(trials=10)
    for name in "abcdefgh":
        earlier.end(earlier.start(name), EPOCHS)
    sweep = Sweep(trials=10, study=earlier.study)
    trial = sweep.start("i")
    now.now += 20
    sweep.end(trial, EPOCHS)
    assert sweep.progress.remaining_s() == pytest.approx(20)


def test_a_terminal_shows_a_table_and_is_restored() -> None:
    sweep = Sweep(terminal=True, trials=30)
    for index in range(SHOWN + 2):
        sweep.end(sweep.start(f"t{index}"), EPOCHS if index % 2 else 1)
    sweep.fail(sweep.start("last"))
    frame = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sweep.text.getvalue().rpartition("trials remaining")[2])
    shown = [line.split()[:2] for line in frame.splitlines() if line.strip()[:1].isdigit()]
    states = ["PRUNED", "COMPLETE"] * SHOWN
    expected = [[str(index), states[index]] for index in range(3, SHOWN + 2)] + [[str(SHOWN + 2), "FAIL"]]
    assert shown == expected
    sweep.progress.close()
    assert sweep.text.getvalue().rindex(SHOW_CURSOR) > sweep.text.getvalue().rindex(HIDE_CURSOR)


@pytest.mark.parametrize("terminal", [True, False])
def test_it_can_be_pickled_with_its_terminal(terminal: bool) -> None:
    sweep = Sweep(terminal=terminal)
    sweep.start("a")
    assert vars(pickle.loads(pickle.dumps(sweep.progress))) == {}
    sweep.progress.close()
