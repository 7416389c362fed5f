"""Trials of all states rank by constraints, fronts and objectives; and the fields of a ranked trial."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from platform.study.ranking import INTERRUPTED, OBJECTIVES, objectives_of, ranking
from platform.study.resume import FOLDER, METRICS, OVERRIDES, REASON, REPEATS, REQUEUED, RESUMED_FROM, START
from trainables.core.config import ConfigError
from trainables.training.metric_names import CHECKPOINT_PATH, EPOCH, VAL_AUC_EXCESS, VAL_MMD, VAL_RECALL
from trainables.training.trial_keys import METRICS_FILE

LAW = {"x": FloatDistribution(0.0, 1.0)}


def add(
    study: optuna.Study,
    state: TrialState,
    value: float | Sequence[float] | None = None,
    history: dict[int, float] | None = None,
    attributes: dict[str, Any] | None = None,
    constraints: dict[str, float] | None = None,
) -> None:
    """Return an ended trial as the searcher records it."""
    trial = optuna.trial.create_trial(
        state=state,
        values=value if isinstance(value, Sequence) or value is None else [value],
        params={"x": 0.5},
        distributions=dict(LAW),
        intermediate_values=history or {},
        user_attrs=attributes or {},
        constraints=constraints,
    )
    study.add_trial(trial)


def named(*objectives: str, directions: tuple[str, ...] = ()) -> optuna.Study:
    """Return a study in memory that records its objectives."""
    ways: list[Any] = list(directions) or ["minimize" for _ in objectives]
    study = optuna.create_study(directions=ways)
    study.set_user_attr(OBJECTIVES, list(objectives))
    study.set_user_attr("trainable", "diffusion")
    return study


@pytest.fixture
def mixed() -> optuna.Study:
    """Add trials of every state, in an order unrelated to their merit."""
    study = named(VAL_AUC_EXCESS)
    add(study, TrialState.FAIL, attributes={REASON: "val/auc_excess is nan"})
    add(study, TrialState.PRUNED, history={0: 0.3, 2: 0.1}, attributes={METRICS: {VAL_AUC_EXCESS: 0.1, VAL_MMD: 0.2}})
    add(study, TrialState.COMPLETE, 0.2, {0: 0.4, 4: 0.2}, attributes={METRICS: {VAL_MMD: 0.5, VAL_AUC_EXCESS: 0.7}})
    add(study, TrialState.COMPLETE, 0.0, attributes={METRICS: {VAL_MMD: 0.3}})
    add(study, TrialState.RUNNING)
    add(study, TrialState.COMPLETE, 0.0, attributes={METRICS: {VAL_MMD: 0.2}})
    add(study, TrialState.PRUNED, history={2: 0.1}, attributes={METRICS: {VAL_AUC_EXCESS: 0.1, VAL_MMD: 0.1}})
    add(study, TrialState.WAITING)
    add(study, TrialState.COMPLETE, 0.0)
    add(study, TrialState.COMPLETE, 0.0, attributes={METRICS: {VAL_MMD: 0.2}})
    return study


def test_trials_rank_by_metric_then_tie_breaker_then_number(mixed: optuna.Study) -> None:
    """Full or stopped; one without a tie breaker is the last among its equals, one without a value the last of all."""
    assert [trial.number for trial in ranking(mixed)] == [5, 9, 3, 8, 6, 1, 2, 0]


def test_a_ranked_trial_records_state_epoch_metrics_and_reason(mixed: optuna.Study) -> None:
    by_number = {trial.number: trial for trial in ranking(mixed)}
    full, failed = by_number[2], by_number[0]
    assert (full.state, full.epoch, full.value, full.history) == ("COMPLETE", 4, 0.2, {0: 0.4, 4: 0.2})
    assert (full.metrics, full.params, full.checkpoint) == ({VAL_MMD: 0.5, VAL_AUC_EXCESS: 0.7}, {"x": 0.5}, None)
    assert (failed.state, failed.epoch, failed.reason) == ("FAIL", 0, "val/auc_excess is nan")
    assert math.isnan(failed.value)


def test_the_checkpoint_is_the_newest_in_its_folder_or_the_one_it_was_resumed_from(tmp_path: Path) -> None:
    for epoch in (2, 10, 9):
        written(tmp_path / "own" / f"checkpoint_{epoch:06d}", epoch)
    start = written(tmp_path / "earlier" / "checkpoint_000001", 1)
    from_start = {START: {"checkpoint": str(start), EPOCH: 1, METRICS: {}}, RESUMED_FROM: 0}
    study = named(VAL_AUC_EXCESS)
    reported = str(tmp_path / "own" / "checkpoint_000002")
    for attributes in (
        {FOLDER: str(tmp_path / "own")},
        {FOLDER: str(tmp_path / "nothing"), CHECKPOINT_PATH: reported},
        {FOLDER: str(tmp_path / "nothing")},
        {},
        from_start,
    ):
        add(study, TrialState.COMPLETE, 0.1, attributes=attributes)
    newest = tmp_path / "own" / "checkpoint_000010"
    assert [trial.checkpoint for trial in ranking(study)] == [newest, newest, None, None, start]


def written(folder: Path, epoch: int) -> Path:
    """Write what a ranking reads of a checkpoint: metrics and record, no tensors."""
    folder.mkdir(parents=True)
    (folder / METRICS_FILE).write_text(f'{{"{EPOCH}": {epoch}}}')
    (folder / "record.json").write_text("{}")
    return folder


def test_an_interrupted_trial_is_listed_until_its_successor_has_started() -> None:
    cut = {REQUEUED: True, METRICS: {VAL_AUC_EXCESS: 0.1}, REASON: "the time is over"}
    for state, expected in ((TrialState.WAITING, [INTERRUPTED]), (TrialState.RUNNING, []), (TrialState.FAIL, ["FAIL"])):
        study = named(VAL_AUC_EXCESS)
        add(study, TrialState.FAIL, attributes=cut)
        add(study, state, attributes={RESUMED_FROM: 0})
        assert [trial.state for trial in ranking(study)] == expected


def test_repeats_are_no_part_of_a_ranking() -> None:
    study = named(VAL_AUC_EXCESS)
    add(study, TrialState.COMPLETE, 0.3)
    repeat = {REPEATS: 0, OVERRIDES: {"seed": 1}, METRICS: {VAL_AUC_EXCESS: 0.1}}
    add(study, TrialState.COMPLETE, 0.1, attributes=repeat)
    add(study, TrialState.FAIL, attributes={**repeat, REQUEUED: True})
    assert [trial.number for trial in ranking(study)] == [0]


def test_a_study_without_recorded_objectives_is_refused_by_name() -> None:
    study = optuna.create_study(study_name="theirs")
    with pytest.raises(ConfigError, match=r"study_name=theirs: expected a study with objectives, but got none"):
        objectives_of(study)


GRID = st.sampled_from([0.0, 0.25, 0.5, 0.75])
POINTS = st.lists(st.tuples(GRID, GRID, st.booleans(), st.booleans()), max_size=9)


def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """At least as good in both and better in one; smaller is better in the first, larger in the second."""
    return a[0] <= b[0] and a[1] >= b[1] and (a[0] < b[0] or a[1] > b[1])


def depth(number: int, among: dict[int, tuple[float, float]]) -> int:
    """Return how many fronts dominate the point, one after another."""
    left, gone = dict(among), 0
    while True:
        front = [n for n in left if not any(dominates(left[m], left[n]) for m in left if m != n)]
        if number in front:
            return gone
        left = {n: point for n, point in left.items() if n not in front}
        gone += 1


@given(POINTS)
def test_fronts_follow_the_definition_and_feasible_trials_rank_first(
    points: list[tuple[float, float, bool, bool]],
) -> None:
    """Complete trials and stopped ones, some of which break a constraint; the front is one of trials that keep it."""
    study = named(VAL_AUC_EXCESS, VAL_RECALL, directions=("minimize", "maximize"))
    kept, broken = dict[int, tuple[float, float]](), dict[int, tuple[float, float]]()
    for number, (first, second, full, feasible) in enumerate(points):
        state = TrialState.COMPLETE if full else TrialState.PRUNED
        metrics = {METRICS: {VAL_AUC_EXCESS: first, VAL_RECALL: second}}
        bound = {"bound": -0.1 if feasible else 0.1}
        add(study, state, (first, second) if full else None, attributes=metrics, constraints=bound)
        (kept if feasible else broken)[number] = (first, second)
    found = ranking(study)
    order = [*sorted(kept, key=lambda n: (depth(n, kept), kept[n][0], n))]
    order += sorted(broken, key=lambda n: (depth(n, broken), broken[n][0], n))
    assert [trial.number for trial in found] == order
    assert {trial.number for trial in found if trial.front} == {n for n in kept if depth(n, kept) == 0}
    assert [trial.feasible for trial in found] == [True] * len(kept) + [False] * len(broken)
