"""The configuration of a sweep, and what the command line does to its search space."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform.study.objectives import Constraint, Goal, Objective
from platform.study.samplers import SAMPLERS
from search_spaces import SPACES, Space
from trainables.core.config import ConfigError, require, require_member
from trainables.metric_registry import METRIC_SETS
from trainables.specs import TRAINABLES
from trainables.training.metric import MetricSet
from trainables.training.scaling import ScalingConfig

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class BudgetConfig:
    """When a study ends: at so many trials (of all its runs together), or when this run's time or the disk is used up.

    What time or disk cut goes on from its last checkpoint when the same command runs again.
    """

    trials: int = 8
    time_limit: str = "8m"
    concurrent: int = 0  # trials side by side; 0: as many as the CPUs carry
    retries: int = 2  # of a trial that crashed, each from its last checkpoint
    disk: str = "10GB"  # of the study's checkpoints; the worst go first, never the front, the finalists or what runs
    min_free_disk: str = "200MB"  # free space at storage_path below which the sweep stops

    def __post_init__(self) -> None:
        require(self.trials >= 1, "`trials >= 1`", f"trials={self.trials}")
        require(self.concurrent >= 0, "`concurrent >= 0`", f"concurrent={self.concurrent}")
        require(self.time_limit_s > 0, "`time_limit > 0`", f"time_limit={self.time_limit}")
        require(self.retries >= 0, "`retries >= 0`", f"retries={self.retries}")
        require(self.disk_bytes > 0, "`disk > 0`", f"disk={self.disk}")
        require(self.min_free_bytes >= 0, "`min_free_disk >= 0`", f"min_free_disk={self.min_free_disk}")

    @property
    def time_limit_s(self) -> float:
        """The time limit in seconds, from text such as 90s, 20m, 1.5h."""
        return _quantity("time_limit", self.time_limit, UNITS, "20m")

    @property
    def disk_bytes(self) -> int:
        """The quota of checkpoints in bytes, from text such as 500MB, 2GB."""
        return int(_quantity("disk", self.disk, BYTES, "2GB"))

    @property
    def min_free_bytes(self) -> int:
        """The free space that is left alone, in bytes."""
        return int(_quantity("min_free_disk", self.min_free_disk, BYTES, "200MB"))


def _quantity(key: str, text: str, units: Mapping[str, float], example: str) -> float:
    match = re.fullmatch(rf"(\d+(?:\.\d+)?)({'|'.join(units)})", text)
    if not match:
        *most, last = units
        raise ConfigError(
            f"expected `{key}` to be a number with a unit {', '.join(most)} or {last} (as {example}), "
            f"but got {key}={text}"
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
    eval_seeds: int = 3  # fresh draws of the sampler's noise, or of a detector's bots, common to all of them
    retrain_seeds: int = 0  # trainings of each with another seed, so that the leaderboard knows the luck of one
    holdout_budget: int = 32  # checkpoints that may ever be judged on the holdout split of these data

    def __post_init__(self) -> None:
        require(self.top >= 0, "`top >= 0`", f"top={self.top}")
        require(self.eval_seeds >= 1, "`eval_seeds >= 1`", f"eval_seeds={self.eval_seeds}")
        require(self.retrain_seeds >= 0, "`retrain_seeds >= 0`", f"retrain_seeds={self.retrain_seeds}")
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
    trials: tuple[int, ...] = ()  # that `show`, `compare` and `reproduce` are about
    address: str = "local"  # "auto": the cluster that this machine belongs to
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    scaling: ScalingConfig = field(default_factory=ScalingConfig)
    finalists: FinalistsConfig = field(default_factory=FinalistsConfig)

    def __post_init__(self) -> None:
        require_member("space", self.space or next(iter(SPACES)), SPACES)
        require_member("sampler", self.sampler, SAMPLERS)
        named = not self.study_name or bool(NAME.fullmatch(self.study_name))
        require(named, f"`study_name` to match {NAME.pattern}", self.study_name)
        for folder in {spec.model_type.registry: None for spec in TRAINABLES.values()}:
            require(self.study_name != folder, f"a `study_name` other than {folder}", "it", "champions are kept there")

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
        objectives = tuple(map(Objective.parse, settings.objectives or (self.metric_set.objective,)))
        scheduler_metric = settings.scheduler.metric or next(iter(objectives[0].terms))
        return Goal(objectives, tuple(map(Constraint.parse, settings.constraints)), scheduler_metric, self.epochs)

    @property
    def metric_set(self) -> MetricSet:
        """What its kind of trainable is judged by."""
        return METRIC_SETS[self.space.trainable]

    @property
    def epochs(self) -> int:
        """The last epoch of a trial that is not stopped."""
        return int(self.trainable["epochs"])
