"""Rank the trials of a study: by constraints, by Pareto fronts, then by the first objective."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from platform.study.budget import finished
from platform.study.objectives import Constraint, Objective
from platform.study.paths import folder_of, path_within
from platform.study.resume import METRICS, REASON, REPEATS, START, history, newest_checkpoint, requeued, resumed_from
from trainables.core.config import ConfigError
from trainables.core.renamed import RETIRED_METRICS
from trainables.core.version import version_of
from trainables.metric_registry import METRIC_SETS
from trainables.training.metric import MetricSet
from trainables.training.metric_names import EPOCH

OBJECTIVES = "objectives"
CONSTRAINTS = "constraints"
SCHEDULER_METRIC = "scheduler_metric"
OLDER_NAMES = {"rung": SCHEDULER_METRIC}  # attributes of studies made by earlier versions; still read
METRIC = re.compile(r"[a-z0-9_]+/[a-z0-9_]+")  # in the text of an objective or of a constraint
INTERRUPTED = "INTERRUPTED"  # state of a trial that is resumed when the study is reopened


@dataclass(frozen=True)
class RankedTrial:
    """A trial in the ranking.

    Attributes:
        state: Optuna's state, or INTERRUPTED.
        epoch: The epoch of its metrics.
        value: The first objective.
        values: All objectives.
        history: Epoch -> scheduler metric.
    """

    number: int
    state: str
    epoch: int
    value: float
    metrics: Mapping[str, float]
    params: Mapping[str, Any]
    history: Mapping[int, float]
    checkpoint: Path | None
    reason: str
    values: tuple[float, ...] = ()
    feasible: bool = True
    front: bool = False  # no other trial is at least as good in every objective and better in one


def objectives_of(study: optuna.Study) -> tuple[Objective, ...]:
    """Return the objectives of a study, in order.

    Raises:
        ConfigError: the study does not record them (it was not made by a sweep), or it was searched by a metric that is
            no longer measured.
    """
    if OBJECTIVES not in study.user_attrs:
        raise ConfigError(
            f"study_name={study.study_name}: expected a study with objectives, but got none; start another"
        )
    require_measured_metrics(study.study_name, study.user_attrs)
    return tuple(Objective.parse(text) for text in study.user_attrs[OBJECTIVES])


def require_measured_metrics(name: str, attributes: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for a study whose objectives, constraints or scheduler metric are no longer measured."""
    recorded = current_names(attributes)
    texts = [*recorded.get(OBJECTIVES, ()), *recorded.get(CONSTRAINTS, ()), recorded.get(SCHEDULER_METRIC, "")]
    for metric in METRIC.findall(" ".join(texts)):
        if metric in RETIRED_METRICS:
            raise ConfigError(
                f"study_name={name}: expected a study of metrics that are still measured, but got {metric}, by which "
                f"version {version_of(attributes)} searched it; choose another study_name: {RETIRED_METRICS[metric]}"
            )


def current_names(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's attributes by their present names, those that an older version wrote too."""
    return {OLDER_NAMES.get(name, name): value for name, value in attributes.items()}


def metric_set_of(study: optuna.Study) -> MetricSet:
    """Return the metrics of the trainable that a study trained.

    Raises:
        ConfigError: the study does not record its trainable, or records an unknown one.
    """
    trainable = str(study.user_attrs.get("trainable"))
    if trainable not in METRIC_SETS:
        law = f"a study of {', '.join(METRIC_SETS)}"
        raise ConfigError(f"study_name={study.study_name}: expected {law}, but got {trainable}; start another")
    return METRIC_SETS[trainable]


def ranking(study: optuna.Study) -> list[RankedTrial]:
    """Return the trials that ended or were interrupted, best first.

    They are ordered by their objectives at the last report, COMPLETE and PRUNED ones alike: those that meet the
    constraints first (an interrupted trial by its latest metrics); with several objectives by Pareto fronts, then by
    the first objective; ties by the tie-breaker of the trainable. Trials without a value come last.
    """
    objectives, tie_breaker = objectives_of(study), metric_set_of(study).tie_breaker
    constraints = tuple(map(Constraint.parse, study.user_attrs.get(CONSTRAINTS, ())))
    folder = folder_of(study)
    ranked = [_ranked(trial, objectives, constraints, folder) for trial in shown_trials(study)]
    signed = {trial.number: _signed(trial, objectives) for trial in ranked}
    fronts = dict[int, int]()
    for feasible in (True, False):  # a trial that violates a constraint dominates none that meets it
        fronts |= pareto_fronts(
            {t.number: signed[t.number] for t in ranked if t.feasible == feasible and signed[t.number]}
        )

    def sort_key(trial: RankedTrial) -> tuple[Any, ...]:
        values = signed[trial.number]
        first = values[0] if values else math.inf
        tie = trial.metrics.get(tie_breaker, math.inf)
        return not values, not trial.feasible, fronts.get(trial.number, math.inf), first, tie, trial.number

    on_front = {t.number for t in ranked if t.feasible and fronts.get(t.number) == 0}
    return [replace(trial, front=trial.number in on_front) for trial in sorted(ranked, key=sort_key)]


def shown_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count, and interrupted ones whose successors have not started."""
    trials = study.get_trials(deepcopy=False)
    begun = {resumed_from(trial) for trial in trials if trial.state != TrialState.WAITING}
    interrupted = [t for t in trials if requeued(t) and t.number not in begun and METRICS in t.user_attrs]
    return [*finished(study), *(trial for trial in interrupted if REPEATS not in trial.user_attrs)]


def _signed(trial: RankedTrial, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Return the objectives with the sign that makes smaller better; empty where one is missing."""
    pairs = zip(trial.values, objectives, strict=True) if trial.values else ()
    return tuple(value if objective.minimised else -value for value, objective in pairs)


def pareto_fronts(points: Mapping[int, tuple[float, ...]]) -> dict[int, int]:
    """Return the Pareto front of each point: 0 is dominated by none, 1 by points of front 0 only, and so on.

    A point dominates another that is at least as large in every place, and larger in one. In lexicographic order all
    that dominate a point come before it, and its front is the one behind the last of theirs.
    """
    if not points:
        return {}
    keys = sorted(points, key=points.__getitem__)
    values = np.array([points[key] for key in keys])
    fronts = np.zeros(len(keys), dtype=np.int64)
    for row, point in enumerate(values):
        before = values[:row]
        dominating = (before <= point).all(axis=1) & (before < point).any(axis=1)
        fronts[row] = fronts[:row].max(where=dominating, initial=-1) + 1
    return dict(zip(keys, fronts.tolist(), strict=True))


def _ranked(
    trial: FrozenTrial, objectives: Sequence[Objective], constraints: Sequence[Constraint], folder: Path | None
) -> RankedTrial:
    attributes = trial.user_attrs
    metrics = attributes.get(METRICS, {})
    interrupted = requeued(trial)
    objective_values = [value for objective in objectives if (value := objective.value(metrics)) is not None]
    reported = (interrupted or trial.state == TrialState.PRUNED) and len(objective_values) == len(objectives)
    values = tuple(
        objective_values if reported else trial.values or ()
    )  # the value of a PRUNED trial is its scheduler metric
    newest = newest_checkpoint(trial, folder, verified=False)
    start, epochs = attributes.get(START, {}), history(trial)
    broken = (
        [constraint.excess(metrics) for constraint in constraints] if interrupted else list(trial.constraints.values())
    )
    return RankedTrial(
        number=trial.number,
        state=INTERRUPTED if interrupted else trial.state.name,
        epoch=max(epochs, default=start.get(EPOCH, 0)),
        value=values[0] if values else math.nan,
        metrics=metrics,
        params=trial.params,
        history=epochs,
        checkpoint=newest.path if newest else _start_path(start, folder),
        reason=attributes.get(REASON, ""),
        values=values,
        feasible=all(value <= 0 for value in broken),
    )


def _start_path(start: Mapping[str, Any], folder: Path | None) -> Path | None:
    path = path_within(start["checkpoint"], folder) if start else None
    return path if path and path.is_dir() else None
