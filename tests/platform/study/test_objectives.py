"""Goals of a sweep: sums and bounds from text, and studies of two objectives with constraints."""

import math
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from platform.study.objectives import Constraint, Objective
from platform.study.ranking import ranking
from platform.study.resume import METRICS, REASON, requeue_orphans
from platform.study.samplers import SAMPLERS
from tests.platform.drivers import LAST, Driver
from trainables.core.config import ConfigError
from trainables.metric_registry import DIRECTIONS
from trainables.training.metric_names import EPOCH, MINIMISED, VAL_AUC_EXCESS, VAL_MMD, VAL_RECALL

pytestmark = pytest.mark.filterwarnings("ignore:QMCSampler is experimental")

TWO: dict[str, Any] = {"objectives": (VAL_AUC_EXCESS, VAL_MMD)}
BOUND = f"{VAL_RECALL}>=0.5"


@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_single_metric_keeps_its_direction(name: str) -> None:
    objective = Objective.parse(name)
    assert (objective.terms, objective.direction, objective.text) == ({name: 1.0}, DIRECTIONS[name], name)
    assert objective.minimised == (DIRECTIONS[name] == MINIMISED)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("val/auc_excess+val/mmd", {"val/auc_excess": 1.0, "val/mmd": 1.0}),
        ("val/auc_excess + 2 * val/mmd", {"val/auc_excess": 1.0, "val/mmd": 2.0}),
        ("0.5*val/auc_excess+1e-3*val/mmd", {"val/auc_excess": 0.5, "val/mmd": 1e-3}),
        ("val/auc_excess-val/recall", {"val/auc_excess": 1.0, "val/recall": -1.0}),
        ("-val/recall", {"val/recall": -1.0}),
        ("val/auc_excess-0.25*val/recall+val/mmd", {"val/auc_excess": 1.0, "val/recall": -0.25, "val/mmd": 1.0}),
    ],
)
def test_a_sum_is_minimised_with_the_given_weights(text: str, terms: dict[str, float]) -> None:
    objective = Objective.parse(text)
    assert (objective.terms, objective.direction) == (terms, MINIMISED)
    metrics = {name: 0.1 * (index + 1) for index, name in enumerate(DIRECTIONS)}
    total = 0.0
    for name, weight in terms.items():
        total += weight * metrics[name]
    assert objective.value(metrics) == pytest.approx(total)
    assert Objective.parse(objective.text) == objective


def test_a_sum_without_one_of_its_metrics_has_no_value() -> None:
    objective = Objective.parse("val/auc_excess+val/mmd")
    assert objective.value({"val/auc_excess": 0.5}) is None
    assert objective.value({}) is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty"),
        ("val/auc_excess val/mmd", "unknown metric"),
        ("val/auc_excess+", "val/auc_excess+"),
        ("2val/mmd", "2val/mmd"),
        ("val/auc_excess*2", "val/auc_excess*2"),
        ("auc_excess", "auc_excess"),
        ("val/auc_exces", "did you mean val/auc_excess?"),
        ("val/c2st_excess+val/mmd", "`val/c2st_excess` is no metric any more: "),
        ("val/c2st", "use val/auc_excess, in a study of its own"),
        ("val/auc_excess+val/nonsense", "unknown metric"),
        ("train/loss", "train/loss"),
    ],
)
def test_an_invalid_objective_is_one_line_that_names_it(text: str, part: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        Objective.parse(text)
    assert part in str(exc_info.value)
    assert "\n" not in str(exc_info.value)


@pytest.mark.parametrize("text", ["val/mmd+val/mmd", "val/auc_excess+val/mmd+2*val/auc_excess"])
def test_a_sum_with_a_repeated_metric_is_refused(text: str) -> None:
    """Neither term may be dropped silently."""
    with pytest.raises(ConfigError, match="expected each metric once in an objective"):
        Objective.parse(text)


@pytest.mark.parametrize(
    "text", ["val/auc_excess+val/recall", "2*val/recall", "val/auc_excess-val/mmd", "val/auc_excess+0*val/mmd"]
)
def test_a_sum_that_would_reward_what_is_worse_is_refused(text: str) -> None:
    """A sum is minimised: what is better when larger is subtracted, what is better when smaller is added."""
    with pytest.raises(ConfigError):
        Objective.parse(text)


@pytest.mark.parametrize(
    ("text", "kept", "broken"),
    [
        ("val/recall>=0.5", (0.5, 0.9), (0.49, 0.0)),
        ("val/mmd<=0.01", (0.01, -0.5), (0.011, 3.0)),
        ("val/mmd <= 1e-2", (0.01,), (0.02,)),
        ("val/mmd<=-0.5", (-0.5,), (-0.4,)),
    ],
)
def test_a_bound_is_kept_where_its_excess_is_not_positive(
    text: str, kept: tuple[float, ...], broken: tuple[float, ...]
) -> None:
    constraint = Constraint.parse(text)
    assert all(constraint.excess({constraint.metric: value}) <= 0 for value in kept)
    assert all(constraint.excess({constraint.metric: value}) > 0 for value in broken)
    assert constraint.excess({}) == math.inf


def test_the_excess_is_the_distance_beyond_the_bound() -> None:
    assert Constraint.parse("val/recall>=0.5").excess({"val/recall": 0.2}) == pytest.approx(0.3)
    assert Constraint.parse("val/mmd<=0.1").excess({"val/mmd": 0.4}) == pytest.approx(0.3)


@pytest.mark.parametrize(
    "text", ["", "val/recall", "val/recall>0.5", "val/recall=>0.5", "0.5<=val/recall", "val/recall>=x"]
)
def test_an_invalid_bound_is_one_line_that_names_it(text: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        Constraint.parse(text)
    assert text in str(exc_info.value)
    assert "\n" not in str(exc_info.value)


def test_a_bound_of_an_unknown_metric_names_the_metric() -> None:
    with pytest.raises(ConfigError, match=r"unknown metric val/rec; did you mean val/recall\?"):
        Constraint.parse("val/rec>=0.5")
    with pytest.raises(ConfigError, match=r"`val/c2st_auc` is no metric any more: .*; use val/auc_excess"):
        Constraint.parse("val/c2st_auc<=0.7")


def test_two_objectives_are_recorded_in_order_with_the_scheduler_metric_as_intermediate_values(tmp_path: Path) -> None:
    for objectives in ((VAL_AUC_EXCESS, VAL_MMD), (VAL_MMD, VAL_AUC_EXCESS)):
        driver = Driver(tmp_path / objectives[0], objectives=objectives, scheduler_metric=VAL_AUC_EXCESS)
        trial = driver.start()
        driver.report(trial, 0, 0.5)
        driver.end(trial, LAST, 0.1)
        recorded = driver.recorded(trial)
        expected = {VAL_AUC_EXCESS: 0.1, VAL_MMD: 0.2}
        assert (recorded.state, recorded.values) == (TrialState.COMPLETE, [expected[name] for name in objectives])
        [shown] = ranking(driver.study)
        assert shown.history == {0: 0.5, LAST: 0.1}
        assert shown.values == tuple(expected[name] for name in objectives)


def test_optunasearch_defect_a_missing_second_objective_leaves_no_trial_running(tmp_path: Path) -> None:
    driver = Driver(tmp_path, **TWO)
    for second in (None, math.nan):
        trial = driver.start()
        last = {EPOCH: LAST, VAL_AUC_EXCESS: 0.1} | ({} if second is None else {VAL_MMD: second})
        driver.search.on_trial_complete(trial.trial_id, last)
        recorded = driver.recorded(trial)
        assert (recorded.state, recorded.values) == (TrialState.FAIL, None)
        why = "was never reported" if second is None else "is nan"
        assert recorded.user_attrs[REASON] == f"{VAL_MMD} {why}"
    assert driver.in_state(TrialState.RUNNING) == []


def test_a_stopped_trial_of_two_objectives_has_no_values_and_ranks_by_its_metrics(tmp_path: Path) -> None:
    driver = Driver(tmp_path, **TWO)
    stopped, full = driver.start(), driver.start()
    driver.report(stopped, 1, 0.3)
    driver.end(stopped, 2, 0.2)
    driver.end(full, LAST, 0.4)
    recorded = driver.recorded(stopped)
    assert (recorded.state, recorded.values) == (TrialState.PRUNED, None)
    assert recorded.user_attrs[METRICS] == {VAL_AUC_EXCESS: 0.2, VAL_MMD: 0.4}
    first, second = ranking(driver.study)
    assert (first.number, first.values, first.history, first.epoch) == (0, (0.2, 0.4), {1: 0.3, 2: 0.2}, 2)
    assert (second.number, second.values) == (1, (0.4, 0.8))


def test_the_history_of_a_trial_of_two_objectives_survives_an_interruption(tmp_path: Path) -> None:
    dead = Driver(tmp_path, **TWO)
    dead.report(trial := dead.start(), 0, 0.5)
    dead.checkpoint(trial, 1, 0.4)
    driver = Driver(tmp_path, **TWO)
    requeue_orphans(driver.study)
    again = driver.start()
    driver.end(again, LAST, 0.1)
    assert ranking(driver.study)[0].history == {0: 0.5, 1: 0.4, LAST: 0.1}


def test_a_weighted_sum_ranks_stopped_trials_by_the_sum_and_not_by_the_rung(tmp_path: Path) -> None:
    """The scheduler metric decides which trials continue; the objective decides which is better."""
    driver = Driver(tmp_path, objectives=("val/auc_excess+10*val/mmd",), scheduler_metric=VAL_AUC_EXCESS)
    stopped, full = driver.start(), driver.start()
    driver.end(stopped, 2, 0.3)
    driver.end(full, LAST, 0.2)
    recorded = driver.recorded(full)
    assert recorded.value == pytest.approx(0.2 + 10 * 0.4)
    shown = {trial.number: trial.value for trial in ranking(driver.study)}
    assert shown == {0: pytest.approx(0.3 + 10 * 0.6), 1: pytest.approx(0.2 + 10 * 0.4)}
    assert [trial.number for trial in ranking(driver.study)] == [1, 0]


GP_LATER = [pytest.param(name, marks=pytest.mark.heavy) if name == "gp" else name for name in SAMPLERS]
"""Samplers; a suggestion of the Gaussian process takes seconds where trials have failed and were bounded."""


def run_mixed(driver: Driver, count: int) -> list[FrozenTrial]:
    """Trials that end in turn complete, stopped, failed and by a crash; the first objective falls with the weight.

    The second one rises with it, and so does the recall that constraints bound: 0 without any weight.
    """
    for number in range(count):
        trial = driver.start()
        weight = float(trial.config["weight"])
        more = {VAL_MMD: weight**2, VAL_RECALL: weight}
        driver.report(trial, 1, 1.1 - weight, **more)
        ends: list[Any] = [
            lambda trial=trial, w=weight, more=more: driver.end(trial, LAST, 1 - w, **more),
            lambda trial=trial, w=weight, more=more: driver.end(trial, 2, 1 - w, **more),
            lambda trial=trial, w=weight: driver.end(trial, LAST, math.nan),
            lambda trial=trial: driver.crash(trial),
        ]
        ends[(0, 1, 0, 2, 0, 3)[number % 6]]()
    return driver.study.get_trials(deepcopy=False)


@pytest.mark.parametrize("constraints", [(), (BOUND,)], ids=["free", "bounded"])
@pytest.mark.parametrize("objectives", [(VAL_AUC_EXCESS,), (VAL_AUC_EXCESS, VAL_MMD)], ids=["one", "two"])
@pytest.mark.parametrize("name", GP_LATER)
def test_every_sampler_continues_after_trials_of_every_state(
    tmp_path: Path, name: str, objectives: tuple[str, ...], constraints: tuple[str, ...]
) -> None:
    """Of the first 20 trials 10 are complete, the random start of TPE and GP; reopened once on the way."""
    for count in (12, 10):
        run_mixed(Driver(tmp_path, sampler=name, objectives=objectives, constraints=constraints), count)
    trials = Driver(tmp_path, objectives=objectives, constraints=constraints).study.get_trials()
    states = [trial.state.name for trial in trials]
    assert {state: states.count(state) for state in set(states)} == {"COMPLETE": 11, "PRUNED": 4, "FAIL": 7}
    assert all(len(trial.values) == len(objectives) for trial in trials if trial.state == TrialState.COMPLETE)


def test_the_second_generation_of_nsga2_has_parents(tmp_path: Path) -> None:
    """Sixteen complete trials make a generation; those that were stopped or failed are no parents."""
    driver = Driver(tmp_path, sampler="nsga2", constraints=(BOUND,), **TWO)
    trials = run_mixed(driver, 40)
    keys = [key for key in driver.study._storage.get_study_system_attrs(driver.study._study_id) if "parent" in key]
    assert keys
    assert trials[-1].params


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_study_reopened_with_another_constraint_is_resumed_or_refused_with_the_reason(
    tmp_path: Path, name: str
) -> None:
    """Trials of earlier runs have no value of the new constraint."""
    run_mixed(Driver(tmp_path, sampler=name), 12)
    try:
        driver = Driver(tmp_path, sampler=name, constraints=(BOUND,))
    except ConfigError:
        return
    run_mixed(driver, 10)


def test_optunasearch_defect_constraints_reach_optuna(tmp_path: Path) -> None:
    """In every state that has a result, under their text; 0 or less is kept."""
    other = f"{VAL_MMD}<=0.5"
    driver = Driver(tmp_path, constraints=(BOUND, other))
    for epoch, recall in ((LAST, 0.75), (2, 0.25)):
        trial = driver.start()
        driver.end(trial, epoch, 0.1, **{VAL_RECALL: recall})
        assert driver.recorded(trial).constraints == {BOUND: 0.5 - recall, other: pytest.approx(0.2 - 0.5)}
    assert [trial.feasible for trial in ranking(driver.study)] == [True, False]


@pytest.mark.parametrize("recall", [None, math.nan])
def test_a_trial_without_the_metric_of_a_constraint_fails_with_the_reason(tmp_path: Path, recall: float | None) -> None:
    driver = Driver(tmp_path, constraints=(BOUND,))
    trial = driver.start()
    driver.end(trial, LAST, 0.1, **({} if recall is None else {VAL_RECALL: recall}))
    recorded = driver.recorded(trial)
    assert recorded.state == TrialState.FAIL
    assert recorded.user_attrs[REASON] == f"{VAL_RECALL} " + ("was never reported" if recall is None else "is nan")


def test_trials_that_meet_the_constraints_rank_before_those_that_violate_one(tmp_path: Path) -> None:
    driver = Driver(tmp_path, constraints=(BOUND,))
    for value, recall in ((0.1, 0.4), (0.3, 0.6), (0.2, 0.5), (0.05, 0.1)):
        driver.end(driver.start(), LAST, value, **{VAL_RECALL: recall})
    assert [trial.number for trial in ranking(driver.study)] == [2, 1, 3, 0]


def share_that_breaks(folder: Path, constraints: tuple[str, ...]) -> float:
    """Return the share of trials 21 to 60 with a weight above one half: the best objective, but too low a recall."""
    broken = []
    driver = Driver(folder, sampler="tpe", constraints=constraints, seed=3)
    for _ in range(60):
        trial = driver.start()
        weight = float(trial.config["weight"])
        driver.end(trial, LAST, 1 - weight, **{VAL_RECALL: 1 - weight})
        broken.append(weight > 0.5)
    return sum(broken[20:]) / 40


def test_tpe_learns_from_constraints(tmp_path: Path) -> None:
    """Null: without the constraint nearly all trials go where the objective is best, which breaks it.

    Fixed seed, so it never fails falsely; seeds 0 to 4 give shares of 1.0 against 0.23 to 0.48.
    """
    free, bounded = share_that_breaks(tmp_path / "free", ()), share_that_breaks(tmp_path / "bounded", (BOUND,))
    assert free > 0.9
    assert bounded < 0.6
