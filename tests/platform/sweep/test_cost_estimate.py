"""The plan of a sweep: epochs under successive halving, and seconds from the costs at both corners."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution

from platform.study.config import BudgetConfig, SchedulerConfig, TuneConfig
from platform.study.sweep import Sweep
from platform.sweep.cost_estimate import Plan, describe_plan, expected_epochs, make_plan
from search_spaces import Space
from trainables.core.config import plain
from trainables.diffusion.config import DiffusionConfig
from trainables.specs import TRAINABLES
from trainables.training.scaling import ScalingConfig
from trainables.training.trainable import Cost

SPACE = Space(
    trainable="diffusion",
    parameters={
        "optim.lr": FloatDistribution(1e-4, 1e-2, log=True),
        "model.base_channels": CategoricalDistribution((48, 32, 64)),
        "data.source": CategoricalDistribution(("cursory", "table")),
    },
    baselines=(),
)


def sweep_of(epochs: int, grace: int = 2, reduction_factor: float = 3.0, cpus: int = 1, workers: int = 0) -> Sweep:
    settings = TuneConfig(
        budget=BudgetConfig(trials=10, time_limit="20m"),
        scheduler=SchedulerConfig(grace, reduction_factor),
        scaling=ScalingConfig(workers, cpus),
    )
    return Sweep(settings, {**plain(DiffusionConfig()), "epochs": epochs}, SPACE, ("contrastive.weight",))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[DiffusionConfig, int]]:
    """Stands in for the measurement by a cost that is known; the list holds what was measured, on how many threads."""
    calls: list[tuple[DiffusionConfig, int]] = []

    def measure(config: DiffusionConfig) -> Cost:
        calls.append((config, torch.get_num_threads()))
        width = config.model.base_channels
        return Cost(width / 1000, width, evaluation_s=2.0, checkpoint_bytes=width * 2**20, worker_bytes=width * 2**10)

    monkeypatch.setitem(TRAINABLES, "diffusion", TRAINABLES["diffusion"].with_parts(measure=measure))
    return calls


@pytest.mark.parametrize("reduction_factor", [1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("grace", [1, 2, 7])
def test_expected_epochs_are_those_of_a_shrinking_crowd(grace: int, reduction_factor: float) -> None:
    """The oracle adds up the epochs of the trials left after each rung, one in `reduction_factor`."""
    for epochs in range(1, 60):
        rungs = SchedulerConfig(grace, reduction_factor).rungs(epochs)
        crowd, paid = 1.0, 0.0
        for epoch in range(1, epochs + 1):
            paid += crowd
            if epoch in rungs:
                crowd /= reduction_factor
        assert expected_epochs(sweep_of(epochs, grace, reduction_factor)) == pytest.approx(paid, rel=1e-12)


def test_without_rungs_every_trial_runs_to_its_end() -> None:
    assert expected_epochs(sweep_of(6, grace=6)) == 6


def test_both_corners_of_the_space_are_measured(measured: list[tuple[DiffusionConfig, int]]) -> None:
    """Numbers at their bounds, in any order of listing; of names the first."""
    make_plan(sweep_of(12), remaining=1, concurrent=1)
    corners = [(config.optim.lr, config.model.base_channels, config.data.source) for config, _ in measured]
    assert corners == [(1e-4, 32, "cursory"), (1e-2, 64, "cursory")]


def test_costs_are_measured_with_a_workers_threads_which_are_put_back(
    measured: list[tuple[DiffusionConfig, int]],
) -> None:
    before = torch.get_num_threads()
    make_plan(sweep_of(12, cpus=2), remaining=1, concurrent=1)
    assert [threads for _, threads in measured] == [2, 2]
    assert torch.get_num_threads() == before


@pytest.mark.usefixtures("measured")
def test_the_plan_adds_up_what_the_trials_cost() -> None:
    """A trial is evaluated before its first epoch and after each; concurrent trials share the sweep."""
    sweep = sweep_of(12)
    plan = make_plan(sweep, remaining=8, concurrent=3)
    full, halved = [], []
    for width in (32, 64):
        seconds = 2.0
        for _ in range(12):
            seconds += width * (width / 1000) + 2.0
        full.append(seconds)
        halved.append(2.0 + expected_epochs(sweep) * (width * (width / 1000) + 2.0))
    assert plan.trial_s == pytest.approx(tuple(full))
    assert plan.steps == (12 * 32, 12 * 64)
    assert plan.sweep_s == pytest.approx(8 * (halved[0] + halved[1]) / 2 / 3)
    assert plan.finalists_s == pytest.approx(
        3 * 3 * 4 * 2.0 / 3
    )  # three trials, three draws, two splits, two kinds of conditions
    assert plan.promotion_s == pytest.approx(2 * 8 * 2 * 2.0)  # two sides, eight draws, two kinds of conditions
    assert plan.disk_bytes == 2 * 8 * 64 * 2**20


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(("workers", "further"), [(0, 0), (1, 0), (3, 2)])
def test_the_disk_counts_what_each_further_worker_adds_to_a_checkpoint(workers: int, further: int) -> None:
    plan = make_plan(sweep_of(12, workers=workers), remaining=8, concurrent=1)
    assert plan.disk_bytes == 2 * 8 * (64 * 2**20 + further * 64 * 2**10)


def test_the_description_names_everything_that_decides() -> None:
    plan = Plan(8, 3, (65.0, 3700.0), (384, 12768), 605.0, 65.0, 64.0, 5_000_000)
    lines = describe_plan(plan, sweep_of(12)).splitlines()
    text = dict(line.split(maxsplit=1) for line in lines if not line.strip().startswith("full"))
    assert text["searched"] == "optim.lr, model.base_channels, data.source"
    assert text["fixed"] == "contrastive.weight"
    assert text["trials"] == "8 to run of 10, 3 at a time, sampler tpe"
    assert text["halving"] == "rungs at epochs 2, 6; one in 3 continues"
    assert text["time"] == "about 10:05; stopped at 20m"
    assert text["finalists"] == "top 3, each retrained with 0 and evaluated with 3 new seeds, about 1:05"
    assert text["promotion"] == (
        "8 draws of the noise for challenger and champion each, about 1:04; not part of the sweep"
    )
    assert text["disk"] == "at most 5 MB of checkpoints, budget.disk=10GB"
    assert any(line.endswith("12 epochs, 384 to 12,768 steps, 1:05 to 1:01:40") for line in lines)


@pytest.mark.parametrize(
    ("left_out", "line"),
    [
        (({"a.b": 64},), "1 of 2 left out: a.b=64 lies outside of the distribution"),
        (({"a.b": 64, "c": "x"},), "1 of 2 left out: a.b=64, c=x lie outside of the distributions"),
        (({"a.b": 64}, {"c": 0.5}), "2 of 3 left out: a.b=64, c=0.5 lie outside of the distributions"),
    ],
)
def test_the_plan_lists_the_baselines_that_are_left_out(left_out: tuple[dict[str, Any], ...], line: str) -> None:
    plan = Plan(8, 3, (65.0, 3700.0), (384, 12768), 605.0, 65.0, 64.0, 5_000_000)
    whole = sweep_of(12)
    narrowed = replace(whole, space=replace(SPACE, baselines=({"optim.lr": 1e-3},)), left_out=left_out)
    described = [text.split(maxsplit=1) for text in describe_plan(plan, narrowed).splitlines()]
    assert [text for name, text in described if name == "baselines"] == [line]
    assert "baselines" not in describe_plan(plan, whole)


@pytest.mark.parametrize(
    ("sampler", "epochs", "learns"),
    [
        ("gp", 9, "gp learns from COMPLETE trials only, about 1 of 10; before 5 of them it samples at random"),
        ("nsga2", 9, "nsga2 learns from COMPLETE trials only, about 1 of 10; before 16 of them it samples at random"),
        ("gp", 2, ""),  # no rung: all trials complete
        ("tpe", 9, ""),
    ],
)
def test_the_plan_says_from_how_few_trials_a_sampler_learns(sampler: str, epochs: int, learns: str) -> None:
    sweep = sweep_of(epochs)
    sweep = replace(sweep, settings=replace(sweep.settings, sampler=sampler))
    plan = Plan(10, 2, (1.0, 2.0), (1, 2), 3.0, 4.0, 5.0, 6)
    lines = [line.split(maxsplit=1) for line in describe_plan(plan, sweep).splitlines()]
    assert dict(lines).get("sampler", "") == learns
