"""Turn the overrides of a command line into a checked search space."""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from platform.study.config import settings_of
from platform.study.objectives import Goal
from platform.study.samplers import grid_size
from platform.study.sweep import Sweep
from search_spaces import SPACES, Space
from trainables.core.command import Request
from trainables.core.config import ConfigError, require, require_laws
from trainables.metric_registry import DIRECTIONS
from trainables.specs import TRAINABLES


def sweep_of(request: Request) -> Sweep:
    """Return the sweep that a command line describes, with every distribution checked before anything starts.

    A key of the space that the user sets is fixed at that value; a key with a distribution is searched, and baselines
    outside of it are left out.

    Raises:
        ConfigError: a key is unknown, a value is wrong, or a distribution has values that the trainable refuses.
    """
    settings, trainable = settings_of(request), request.config["trainable"]
    base = SPACES[settings.space]
    given = {key.removeprefix("trainable.") for key in request.given if key.startswith("trainable.")}
    distributions = {_trainable_key(override): parse_distribution(override) for override in request.laws}
    parameters = {
        key: distribution for key, distribution in base.parameters.items() if key not in given
    } | distributions
    if not parameters:
        raise ConfigError(
            "expected at least one parameter to search, but got a value for each; "
            "leave one out or give it a distribution, as key=interval(0,1)"
        )
    space = _restrict(base, parameters, trainable)
    _check_bounds(space, trainable)
    space, left_out = _drop_baselines_outside(space, distributions)
    sweep = Sweep(settings, trainable, space, tuple(key for key in base.parameters if key not in parameters), left_out)
    _check_goal(sweep.goal, sweep.space.trainable)
    if settings.sampler == "grid":
        _check_grid(sweep)
    return sweep


def _check_grid(sweep: Sweep) -> None:
    """Require a space without conditions, whose grid has a point for every trial of the budget."""
    settings, space = sweep.settings, sweep.space
    law = "a search space without conditional parameters with sampler=grid"
    require(not space.conditions, law, ", ".join(space.conditions), "fix them, or choose another sampler")
    points = grid_size(space, settings.grid_values)
    law = f"`budget.trials` to be at most the {points} points of the grid"
    require(settings.budget.trials <= points, law, str(settings.budget.trials), "lower it, or raise grid_values")


def _restrict(base: Space, parameters: Mapping[str, BaseDistribution], trainable: Mapping[str, Any]) -> Space:
    """Restrict a space to the parameters that vary, without those that a fixed key rules out."""
    ruled_out = {
        key
        for key, condition in base.conditions.items()
        if condition.key not in parameters and value_at(trainable, condition.key) not in condition.values
    }
    left = {key: distribution for key, distribution in parameters.items() if key not in ruled_out}
    conditions = {key: rule for key, rule in base.conditions.items() if key in left and rule.key in left}
    baselines = tuple(_baseline(point, left, base, trainable) for point in base.baselines)
    return replace(base, parameters=left, baselines=baselines, conditions=conditions)


def _check_goal(goal: Goal, trainable: str) -> None:
    reported = TRAINABLES[trainable].reported
    for key, metrics in goal.metrics_by_key().items():
        for metric in metrics:
            law = f"`{key}` of metrics that trainable={trainable} reports"
            require(metric in reported, law, metric, f"choose among {', '.join(reported)}")
    texts = [objective.text for objective in goal.objectives]
    require(len(set(texts)) == len(texts), "`objectives` to differ from each other", ", ".join(texts))
    same = len(goal.objectives) > 1 or DIRECTIONS[goal.scheduler_metric] == goal.objectives[0].direction
    distribution = "the scheduler's metric and the objective to improve in the same direction"
    require(same, distribution, f"{goal.scheduler_metric} and {goal.objectives[0].text}", "set scheduler.metric")


def _trainable_key(override: Override) -> str:
    key = str(override.key_or_group)
    if not key.startswith("trainable."):
        raise ConfigError(f"expected a key below `trainable.` to search, but got {override.input_line}; give one value")
    return key.removeprefix("trainable.")


def parse_distribution(override: Override) -> BaseDistribution:
    """Return the Optuna distribution for an override in Hydra's sweep grammar.

    choice(a, b) is categorical; range(1, 9, 2) whole numbers, the end left out; interval(0, 1) continuous;
    tag(log, interval(1e-4, 1e-2)) logarithmic.

    Raises:
        ConfigError: the override is no distribution.
    """
    sweep = override.value()
    try:
        if isinstance(sweep, IntervalSweep):
            return _interval(sweep)
        if isinstance(sweep, ChoiceSweep | RangeSweep) and sweep.tags:
            raise ValueError("expected tag(log, ...) of an interval only; write tag(log, interval(low, high))")
        if isinstance(sweep, ChoiceSweep):
            return CategoricalDistribution([_unquoted(item) for item in sweep.list])
        if isinstance(sweep, RangeSweep):
            return _range(sweep)
    except ValueError as error:
        raise ConfigError(f"{override.input_line}: {error}") from None
    raise ConfigError(
        f"expected interval(...), range(...), choice(...) or tag(log, ...), but got {override.input_line}"
    )


def _interval(sweep: IntervalSweep) -> BaseDistribution:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("expected two finite bounds; write interval(low, high)")
    if sweep.tags - {"log"}:
        raise ValueError(f"expected no tag other than log, but got {', '.join(sorted(sweep.tags))}; remove it")
    return FloatDistribution(float(low), float(high), log=log)


def _range(sweep: RangeSweep) -> BaseDistribution:
    start, stop, step = sweep.start, sweep.stop, sweep.step
    if start is None or stop is None:
        raise ValueError("expected a start and a stop; write range(start, stop)")
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int) and step >= 1:
        last = stop - 1 - (stop - 1 - start) % step  # Hydra's range excludes its end, as Python's does
        return IntDistribution(start, last, step=step)
    raise ValueError("expected integers in steps of 1 or more; use interval for continuous values")


def _unquoted(item: Any) -> Any:
    return getattr(item, "text", item)


def _baseline(
    point: Mapping[str, Any], parameters: Mapping[str, BaseDistribution], base: Space, trainable: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a baseline on the keys that vary; a key that is new to the space has its configured value."""
    fixed = {key for key, condition in base.conditions.items() if condition.key not in parameters}
    added = {
        key: value_at(trainable, key) for key in parameters if key not in base.parameters or key in fixed - set(point)
    }
    return {key: value for key, value in {**point, **added}.items() if key in parameters}


def value_at(mapping: Mapping[str, Any], key: str) -> Any:
    """Return the value under a dotted key of a nested mapping.

    Raises:
        ConfigError: the key is unknown.
    """
    node: Any = mapping
    for name in key.split("."):
        if not isinstance(node, Mapping) or name not in node:
            raise ConfigError(f"unknown key trainable.{key}; see --cfg job")
        node = node[name]
    return node


def _check_bounds(space: Space, trainable: Mapping[str, Any]) -> None:
    """Build the trainable's configuration at the bounds of the space, so that no trial gets an invalid one.

    Every bound of every distribution is tried with the configured values, with all lowest and with all highest bounds
    of the other keys, for some constraints hold between keys.
    """
    for key in space.parameters:
        value_at(trainable, key)
    lowest, highest = (
        {key: bounds(distribution)[at] for key, distribution in space.parameters.items()} for at in (0, -1)
    )
    points = [
        {**others, key: end}
        for key, distribution in space.parameters.items()
        for end, others in product(bounds(distribution), ({}, lowest, highest))
    ]
    require_laws(TRAINABLES[space.trainable].config, trainable, points, at="trainable")


def _drop_baselines_outside(
    space: Space, distributions: Mapping[str, BaseDistribution]
) -> tuple[Space, tuple[Mapping[str, Any], ...]]:
    """Return the space without the baselines outside of the user's `distributions`, and the values of each outside.

    Raises:
        ConfigError: a baseline lies outside of a distribution of the space itself.
    """
    outside = [
        {key: value for key, value in point.items() if not contains(space.parameters[key], value)}
        for point in space.baselines
    ]
    for key, value in (pair for values in outside for pair in values.items()):
        distribution = f"the distribution of `trainable.{key}` to include the baseline"
        require(
            key in distributions,
            distribution,
            f"{value} outside of {space.parameters[key]}",
            "correct the search space",
        )
    kept = tuple(point for point, values in zip(space.baselines, outside, strict=True) if not values)
    return replace(space, baselines=kept), tuple(filter(None, outside))


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a distribution contains a value; a numeric one contains numbers only."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    if not isinstance(value, int | float):
        return False
    low, high = bounds(distribution)
    step = getattr(distribution, "step", None)
    on_grid = step is None or math.isclose(math.remainder(value - low, step), 0, abs_tol=1e-8)
    return bool(low <= value <= high and on_grid)


def bounds(distribution: BaseDistribution) -> tuple[Any, ...]:
    """Return the choices of a categorical distribution, else its lowest and highest value."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return (distribution.low, distribution.high)
    raise TypeError(f"no bounds of {distribution}")
