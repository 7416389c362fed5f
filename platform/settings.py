"""The configuration of a sweep, and what the command line does to its search space."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from platform.objectives import Constraint, Goal, Objective
from platform.samplers import SAMPLERS
from search_spaces import SPACES, Space
from trainables.core.cli import Request
from trainables.core.config import ConfigError, build, require, require_member, with_values
from trainables.detectors import FOLDER as DETECTORS
from trainables.model_registry.registry import FOLDER as REGISTRY
from trainables.session import TRAINABLES, ScalingConfig
from trainables.training.headline_metrics import CRITERIA, Criteria
from trainables.training.metric_names import DIRECTIONS

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class BudgetConfig:
    """When a study ends: at so many trials (of all its runs together), or when this run's time or the disk is used up.

    What time or disk cut goes on from its last checkpoint when the same command runs again.
    """

    trials: int = 8
    wall: str = "8m"
    concurrent: int = 0  # trials side by side; 0: as many as the CPUs carry
    retries: int = 2  # of a trial that crashed, each from its last checkpoint
    disk: str = "10GB"  # of the study's checkpoints; the worst go first, never the front, the finalists or what runs
    reserve: str = "200MB"  # free space at storage_path below which the sweep stops

    def __post_init__(self) -> None:
        require(self.trials >= 1, "`trials >= 1`", f"trials={self.trials}")
        require(self.concurrent >= 0, "`concurrent >= 0`", f"concurrent={self.concurrent}")
        require(self.wall_s > 0, "`wall > 0`", f"wall={self.wall}")
        require(self.retries >= 0, "`retries >= 0`", f"retries={self.retries}")
        require(self.disk_bytes > 0, "`disk > 0`", f"disk={self.disk}")
        require(self.reserve_bytes >= 0, "`reserve >= 0`", f"reserve={self.reserve}")

    @property
    def wall_s(self) -> float:
        """The wall time in seconds, from text such as 90s, 20m, 1.5h."""
        return _quantity("wall", self.wall, UNITS, "20m")

    @property
    def disk_bytes(self) -> int:
        """The quota of checkpoints in bytes, from text such as 500MB, 2GB."""
        return int(_quantity("disk", self.disk, BYTES, "2GB"))

    @property
    def reserve_bytes(self) -> int:
        """The free space that is left alone, in bytes."""
        return int(_quantity("reserve", self.reserve, BYTES, "200MB"))


def _quantity(key: str, text: str, units: Mapping[str, float], example: str) -> float:
    match = re.fullmatch(rf"(\d+(?:\.\d+)?)({'|'.join(units)})", text)
    if not match:
        *most, last = units
        raise ConfigError(
            f"`{key}` is a number with a unit {', '.join(most)} or {last} (as {example}), but got {key}={text}"
        )
    return float(match[1]) * units[match[2]]


@dataclass(frozen=True)
class SchedulerConfig:
    """Asynchronous successive halving (Li et al., 2020, arXiv:1810.05934): at each rung the best 1/reduction go on."""

    grace_epochs: int = 2  # the first rung
    reduction_factor: float = 3.0
    metric: str = ""  # compared at the rungs; empty: the first metric of the first objective

    def __post_init__(self) -> None:
        require(self.grace_epochs >= 1, "`grace_epochs >= 1`", f"grace_epochs={self.grace_epochs}")
        require(self.reduction_factor > 1, "`reduction_factor > 1`", f"reduction_factor={self.reduction_factor}")

    def rungs(self, epochs: int) -> list[int]:
        """Epochs at which trials are compared, in rising order; none if the grace covers the whole trial.

        Rung k lies at grace * reduction^k, and a trial reaches it with the first whole epoch that is not below.
        """
        if self.grace_epochs >= epochs:
            return []
        count = int(math.log(epochs / self.grace_epochs) / math.log(self.reduction_factor) + 1)
        return sorted({math.ceil(self.grace_epochs * self.reduction_factor**k) for k in range(count)})


@dataclass(frozen=True)
class FinalistsConfig:
    """How the best trials are judged again when the search is over."""

    top: int = 3  # trials; 0 leaves it out
    noise: int = 3  # fresh draws of the sampler's noise, or of a detector's bots, common to all of them
    repeats: int = 0  # trainings of each with another seed, so that the leaderboard knows the luck of one
    holdout_budget: int = 32  # checkpoints that may ever be judged on the holdout part of these data

    def __post_init__(self) -> None:
        require(self.top >= 0, "`top >= 0`", f"top={self.top}")
        require(self.noise >= 1, "`noise >= 1`", f"noise={self.noise}")
        require(self.repeats >= 0, "`repeats >= 0`", f"repeats={self.repeats}")
        require(self.holdout_budget >= 0, "`holdout_budget >= 0`", f"holdout_budget={self.holdout_budget}")


@dataclass(frozen=True)
class TuneConfig:
    """One sweep."""

    space: str = ""  # empty: the one that bears the trainable's name
    study_name: str = ""  # empty: the name of the space
    storage_path: str = "results"  # everything a study leaves; shared by all nodes of a cluster
    storage: str = ""  # of Optuna: empty for a journal file beside the results, else a URL such as sqlite:///study.db
    seed: int = 0  # of the suggestions; trainable.seed is the one of the training
    sampler: str = "tpe"
    objectives: tuple[str, ...] = ()  # empty: the space's metric; two make a Pareto front
    constraints: tuple[str, ...] = ()  # as val/recall>=0.5: trials that break one stand behind all that keep them
    reproduce: int | None = None  # a trial's number: train it again instead of searching, and compare
    trials: tuple[int, ...] = ()  # that `show` and `compare` are about
    address: str = "local"  # "auto": the cluster that this machine belongs to
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    scaling: ScalingConfig = field(default_factory=ScalingConfig)
    finalists: FinalistsConfig = field(default_factory=FinalistsConfig)

    def __post_init__(self) -> None:
        require_member("space", self.space or next(iter(SPACES)), SPACES)
        require_member("sampler", self.sampler, SAMPLERS)
        named = not self.study_name or bool(NAME.fullmatch(self.study_name))
        require(named, f"`study_name` matches {NAME.pattern}", self.study_name)
        for folder in (REGISTRY, DETECTORS):
            require(self.study_name != folder, f"`study_name` is not {folder}", "it", "champions are kept there")

    @property
    def folder(self) -> Path:
        """Where this study lives, absolute: trials run in other working directories."""
        return Path(self.storage_path).expanduser().resolve() / self.study_name


@dataclass(frozen=True)
class Sweep:
    """A checked sweep: its settings, the trainable's whole configuration, and what varies in it.

    Attributes:
        fixed: Keys of the space that the user has set.
        left_out: Of each of the space's baselines outside of a law of the command line, the values that lie there.
    """

    settings: TuneConfig
    trainable: Mapping[str, Any]
    space: Space
    fixed: tuple[str, ...]
    left_out: tuple[Mapping[str, Any], ...] = ()

    @property
    def goal(self) -> Goal:
        """What its trials are told by."""
        settings = self.settings
        objectives = tuple(map(Objective.parse, settings.objectives or (self.space.metric,)))
        rung = settings.scheduler.metric or next(iter(objectives[0].terms))
        return Goal(objectives, tuple(map(Constraint.parse, settings.constraints)), rung, self.epochs)

    @property
    def criteria(self) -> Criteria:
        """What its kind of trainable is judged by."""
        return CRITERIA[self.space.trainable]

    @property
    def epochs(self) -> int:
        """The last epoch of a trial that is not stopped."""
        return int(self.trainable["epochs"])


def sweep_of(request: Request) -> Sweep:
    """The sweep that a command line asks for, every law checked before anything starts.

    A key of the space that the user sets is fixed at that value; a key that the user gives a law is searched, and
    baselines outside of that law are left out.

    Raises:
        ConfigError: an unknown key, a wrong value, or a law that reaches values which the trainable refuses.
    """
    config = dict(request.config)
    trainable = config.pop("trainable")
    named = isinstance(config["trials"], list) and bool(request.verb or not config["trials"])
    require(named, "`trials` lists those that show and compare are about", f"{config['trials']}", "see budget.trials")
    settings = build(TuneConfig, config)
    chosen = request.choices["trainable"]
    space_name = settings.space or chosen
    settings = replace(settings, space=space_name, study_name=settings.study_name or space_name)
    base = SPACES[settings.space]
    require(
        base.trainable == chosen,
        f"`trainable={base.trainable}` with `space={settings.space}`",
        f"trainable={chosen}",
        f"add trainable={base.trainable}",
    )
    given = {key.removeprefix("trainable.") for key in request.given if key.startswith("trainable.")}
    laws = {_trainable_key(override): law_of(override) for override in request.laws}
    parameters = {key: law for key, law in base.parameters.items() if key not in given} | laws
    if not parameters:
        raise ConfigError("every key of the space is fixed; leave one free or give one a law, as key=interval(0,1)")
    space = _asked(base, parameters, trainable)
    _check_reach(space, trainable)
    space, left_out = _within(space, laws)
    sweep = Sweep(settings, trainable, space, tuple(key for key in base.parameters if key not in parameters), left_out)
    _check_goal(sweep.goal)
    return sweep


def _asked(base: Space, parameters: Mapping[str, BaseDistribution], trainable: Mapping[str, Any]) -> Space:
    """The space over the parameters that still vary: what a fixed key rules out is not asked for."""
    ruled_out = {
        key
        for key, condition in base.conditions.items()
        if condition.key not in parameters and value_at(trainable, condition.key) not in condition.values
    }
    left = {key: law for key, law in parameters.items() if key not in ruled_out}
    conditions = {key: rule for key, rule in base.conditions.items() if key in left and rule.key in left}
    baselines = tuple(_baseline(point, left, base, trainable) for point in base.baselines)
    return replace(base, parameters=left, baselines=baselines, conditions=conditions)


def _check_goal(goal: Goal) -> None:
    texts = [objective.text for objective in goal.objectives]
    require(len(set(texts)) == len(texts), "`objectives` differ from each other", ", ".join(texts))
    require_member("scheduler.metric", goal.rung, DIRECTIONS)
    same = len(goal.objectives) > 1 or DIRECTIONS[goal.rung] == goal.objectives[0].direction
    law = "`the metric of the rungs and the objective are better in the same direction`"
    require(same, law, f"{goal.rung} and {goal.objectives[0].text}", "set scheduler.metric")


def _trainable_key(override: Override) -> str:
    key = str(override.key_or_group)
    if not key.startswith("trainable."):
        raise ConfigError(f"{key}: only keys below `trainable.` can be searched, but got {override.input_line}")
    return key.removeprefix("trainable.")


def law_of(override: Override) -> BaseDistribution:
    """An Optuna distribution from Hydra's sweep grammar.

    choice(a, b) is categorical; range(1, 9, 2) whole numbers, the end left out; interval(0, 1) continuous;
    tag(log, interval(1e-4, 1e-2)) logarithmic.

    Raises:
        ConfigError: a form that is not a law.
    """
    sweep = override.value()
    try:
        if isinstance(sweep, IntervalSweep):
            return _interval(sweep)
        if isinstance(sweep, ChoiceSweep | RangeSweep) and sweep.tags:
            raise ValueError(f"tag({', '.join(sorted(sweep.tags))}, ...) has no meaning here; log takes an interval")
        if isinstance(sweep, ChoiceSweep):
            return CategoricalDistribution([_unquoted(item) for item in sweep.list])
        if isinstance(sweep, RangeSweep):
            return _range(sweep)
    except ValueError as error:
        raise ConfigError(f"{override.input_line}: {error}") from None
    raise ConfigError(f"{override.input_line}: a law is interval(...), range(...), choice(...) or tag(log, ...)")


def _interval(sweep: IntervalSweep) -> BaseDistribution:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("interval needs two finite ends")
    if sweep.tags - {"log"}:
        raise ValueError(f"the only tag is log, but got {', '.join(sorted(sweep.tags))}")
    return FloatDistribution(float(low), float(high), log=log)


def _range(sweep: RangeSweep) -> BaseDistribution:
    start, stop, step = sweep.start, sweep.stop, sweep.step
    if start is None or stop is None:
        raise ValueError("range needs start and stop")
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int) and step >= 1:
        last = stop - 1 - (stop - 1 - start) % step  # Hydra's range leaves its end out, as Python's does
        return IntDistribution(start, last, step=step)
    raise ValueError("range takes whole numbers in steps of 1 or more; use interval for continuous values")


def _unquoted(item: Any) -> Any:
    return getattr(item, "text", item)


def _baseline(
    point: Mapping[str, Any], parameters: Mapping[str, BaseDistribution], base: Space, trainable: Mapping[str, Any]
) -> dict[str, Any]:
    """A baseline on the keys that vary now; a key that the space does not know stands at its configured value."""
    fixed = {key for key, condition in base.conditions.items() if condition.key not in parameters}
    added = {
        key: value_at(trainable, key) for key in parameters if key not in base.parameters or key in fixed - set(point)
    }
    return {key: value for key, value in {**point, **added}.items() if key in parameters}


def value_at(mapping: Mapping[str, Any], key: str) -> Any:
    """The value under a dotted key of a nested mapping.

    Raises:
        ConfigError: there is no such key.
    """
    node: Any = mapping
    for name in key.split("."):
        if not isinstance(node, Mapping) or name not in node:
            raise ConfigError(f"trainable.{key}: there is no such key; see --cfg job")
        node = node[name]
    return node


def _check_reach(space: Space, trainable: Mapping[str, Any]) -> None:
    """Build the trainable's configuration where trials may go, so that none meets a wrong one later.

    Every end of every law is tried beside the configured values, beside all lowest and beside all highest ends, for
    some laws hold between keys.
    """
    cls = TRAINABLES[space.trainable].config
    build(cls, trainable, at="trainable")
    for key in space.parameters:
        value_at(trainable, key)
    lowest, highest = ({key: ends(law)[at] for key, law in space.parameters.items()} for at in (0, -1))
    points = [
        {**others, key: end}
        for key, law in space.parameters.items()
        for end, others in product(ends(law), ({}, lowest, highest))
    ]
    for point in {repr(point): point for point in points}.values():  # each key's lowest end beside all lowest is one
        build(cls, with_values(trainable, point), at="trainable")


def _within(space: Space, laws: Mapping[str, BaseDistribution]) -> tuple[Space, tuple[Mapping[str, Any], ...]]:
    """The space without the baselines outside of the user's `laws`, and of each of those the values outside.

    Raises:
        ConfigError: a baseline lies outside of a law that stands in the space itself.
    """
    outside = [
        {key: value for key, value in point.items() if not _includes(space.parameters[key], value)}
        for point in space.baselines
    ]
    for key, value in (pair for values in outside for pair in values.items()):
        law = f"trainable.{key}: `the law includes the baseline`"
        require(key in laws, law, f"{value} outside of {space.parameters[key]}", "correct the search space")
    kept = tuple(point for point, values in zip(space.baselines, outside, strict=True) if not values)
    return replace(space, baselines=kept), tuple(filter(None, outside))


def _includes(law: BaseDistribution, value: Any) -> bool:
    """Whether a law can take a value; no range of numbers takes what is none."""
    if isinstance(law, CategoricalDistribution):
        return value in law.choices
    return isinstance(value, int | float) and law._contains(law.to_internal_repr(value))


def ends(law: BaseDistribution) -> tuple[Any, ...]:
    """The choices of a categorical law, else its lowest and highest value."""
    if isinstance(law, CategoricalDistribution):
        return law.choices
    if isinstance(law, FloatDistribution | IntDistribution):
        return (law.low, law.high)
    raise TypeError(f"no ends of {law}")
