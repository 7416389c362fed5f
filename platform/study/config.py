"""Configuration of a sweep: budget, scheduler, finalists, study and search space; without Optuna."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from trainables.core.bounds import AnyInt, Choice, Folder, NonNegativeInt, PositiveInt, Range, Text, check
from trainables.core.command import Request
from trainables.core.config import build, require
from trainables.specs import TRAINABLES
from trainables.training.scaling import ScalingConfig

PLAN = "--plan"  # switch: print the plan and start nothing
SAMPLER_NAMES = ("tpe", "gp", "nsga2", "qmc", "grid", "random")  # the keys of `platform.study.samplers.SAMPLERS`
STAGES = ("training", "sampling")
SPACE_TRAINABLES = {space: spec.name for spec in TRAINABLES.values() for space in (spec.space, *spec.other_spaces)}
"""Name of a search space -> its trainable; the spaces themselves (`search_spaces.SPACES`) need Optuna."""
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
IN_MEMORY = ("sqlite://", "sqlite:///", "sqlite:///:memory:")  # databases that end with their process
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


@dataclass(frozen=True, eq=False)
class Quantity:
    """A bound of text: a number with a unit, above 0 or, with `zero`, 0 as well; with `or_empty` the empty text too.

    >>> Quantity(UNITS, "20m").value("1.5h"), str(Quantity(UNITS, "20m"))
    (5400.0, 'a number above 0 with a unit s, m, h or d, as 20m')
    """

    units: Mapping[str, float]
    example: str
    zero: bool = False
    or_empty: bool = False

    def holds(self, value: str) -> bool:
        """Whether a text is such a number."""
        if self.or_empty and not value:
            return True
        return self._match(value) is not None and (self.zero or self.value(value) > 0)

    def law(self, name: str) -> str:
        """The field and what it is to be."""
        return f"`{name}` to be {self}"

    def __str__(self) -> str:
        *most, last = self.units
        least, empty = "" if self.zero else " above 0", ", or empty" if self.or_empty else ""
        return f"a number{least} with a unit {', '.join(most)} or {last}, as {self.example}{empty}"

    def value(self, text: str) -> float:
        """The number in seconds or bytes; of a text that keeps the bound."""
        match = self._match(text)
        assert match is not None
        return float(match[1]) * self.units[match[2]]

    def _match(self, text: str) -> re.Match[str] | None:
        return re.fullmatch(rf"(\d+(?:\.\d+)?)({'|'.join(self.units)})", text)


TIME = Quantity(UNITS, "20m")
OPTIONAL_TIME = Quantity(UNITS, "20m", or_empty=True)
SIZE = Quantity(BYTES, "2GB")
FREE = Quantity(BYTES, "200MB", zero=True)


@dataclass(frozen=True)
class BudgetConfig:
    """Limits of a study: trials over all of its runs, and time and disk of this run.

    A trial that time or disk interrupts is resumed from its last checkpoint by the same command.
    """

    trials: PositiveInt = 8  # trials of the study, over all its runs
    time_limit: Annotated[str, TIME] = "8m"  # wall time of this run; the next one resumes interrupted trials
    concurrent: NonNegativeInt = 0  # concurrent trials; 0: as many as fit the CPUs
    # wall time of one trial, as 20m; empty: none. A trial that reaches it ends after its epoch, PRUNED, and ranks by it
    trial_time_limit: Annotated[str, OPTIONAL_TIME] = ""
    retries: NonNegativeInt = 2  # restarts of a trial that crashed, each from its last checkpoint
    # size of the study's checkpoints; the worst are deleted first, never those of the front, the finalists or running
    # trials
    disk: Annotated[str, SIZE] = "10GB"
    min_free_disk: Annotated[str, FREE] = "200MB"  # free space at storage_path below which the sweep stops

    def __post_init__(self) -> None:
        check(self)

    @property
    def time_limit_s(self) -> float:
        """Return the time limit in seconds, from text such as 90s, 20m, 1.5h."""
        return TIME.value(self.time_limit)

    @property
    def trial_time_limit_s(self) -> float:
        """Return the time limit of one trial in seconds; infinite where there is none."""
        return TIME.value(self.trial_time_limit) if self.trial_time_limit else math.inf

    @property
    def disk_bytes(self) -> int:
        """Return the quota of checkpoints in bytes, from text such as 500MB, 2GB."""
        return int(SIZE.value(self.disk))

    @property
    def min_free_bytes(self) -> int:
        """Return the free space that is never used, in bytes."""
        return int(FREE.value(self.min_free_disk))


@dataclass(frozen=True)
class SchedulerConfig:
    """Asynchronous successive halving (Li et al., 2020, arXiv:1810.05934): the best 1/reduction of a rung continue."""

    grace_epochs: PositiveInt = 2  # epochs before the first comparison
    # of the trials that are compared 1 / reduction_factor continue
    reduction_factor: Annotated[float, Range(gt=1, lt=math.inf)] = 3.0
    metric: str = ""  # metric that is compared; empty: the first one of the first objective

    def __post_init__(self) -> None:
        check(self)

    def rungs(self, epochs: int) -> list[int]:
        """Return the epochs at which trials are compared, ascending; none if the grace period covers the whole trial.

        Rung k lies at grace * reduction^k, and a trial reaches it with the first whole epoch that is not below.
        """
        if self.grace_epochs >= epochs:
            return []
        count = int(math.log(epochs / self.grace_epochs) / math.log(self.reduction_factor) + 1)
        return sorted({math.ceil(self.grace_epochs * self.reduction_factor**k) for k in range(count)})


@dataclass(frozen=True)
class FinalistsConfig:
    """Re-evaluation of the best trials at the end of the search."""

    top: NonNegativeInt = 3  # trials that are re-evaluated; 0: none
    # new seeds per trial of the sampler's noise, or of a detector's bots, common to all trials
    eval_seeds: PositiveInt = 3
    retrain_seeds: NonNegativeInt = 0  # trainings per trial with other seeds, to measure how much results vary
    holdout_budget: NonNegativeInt = 32  # holdout evaluations that these data may have, over all studies

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class TuneConfig:
    """Settings of a sweep."""

    # search space; empty: the one named like the trainable
    space: Annotated[str, Choice(SPACE_TRAINABLES, or_empty=True)] = ""
    # name and folder of the study; empty: the name of the space
    study_name: Annotated[str, Text("letters, digits, '.', '_' and '-', or empty", f"({NAME})?")] = ""
    storage_path: Folder = "results"  # folder of all studies; shared by all nodes of a cluster
    # URL of Optuna's database, such as sqlite:///study.db; empty: a journal file in the study's folder
    storage: str = ""
    # what is searched; sampling: settings of the sampler of the finalists' checkpoints, without training
    stage: Annotated[str, Choice(STAGES)] = "training"
    seed: AnyInt = 0  # seed of the suggestions, and with trainable.seed of the trials' own seeds
    # whether all trials share trainable.seed and the noise of their samples; false: each has seeds of its own, recorded
    common_seeds: bool = False
    sampler: Annotated[str, Choice(SAMPLER_NAMES)] = "tpe"  # how Optuna suggests values
    grid_values: Annotated[int, Range(ge=2)] = 3  # values of each continuous parameter with sampler=grid
    enqueue: str = ""  # YAML or CSV file of points that are tried first, after the baselines
    # another study at storage_path: its completed trials are prior observations, or its best ones the first points
    warm_start: Annotated[str, Text("the name of a study, or empty", f"({NAME})?")] = ""
    objectives: tuple[str, ...] = ()  # metrics to optimise, or sums of them; empty: the headline; two: a Pareto front
    constraints: tuple[str, ...] = ()  # as val/recall>=0.5: trials that violate one rank behind all that do not
    trials: tuple[NonNegativeInt, ...] = ()  # numbers of the trials that `show`, `compare` and `reproduce` are about
    # epochs between two plots of samples or trajectories of a trial in TensorBoard, which may take as long as an
    # evaluation; 0: none
    plots_every: NonNegativeInt = 0
    address: str = "local"  # Ray cluster; local: started for this run; auto: the one that this machine belongs to
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    scaling: ScalingConfig = field(default_factory=ScalingConfig)
    finalists: FinalistsConfig = field(default_factory=FinalistsConfig)

    def __post_init__(self) -> None:
        check(self)
        require(
            self.storage.partition("?")[0] not in IN_MEMORY,
            "`storage` to be a database that outlives the sweep",
            self.storage,
            "name a file, as sqlite:///study.db, or leave it out",
        )
        for folder in {spec.model_type.registry: None for spec in TRAINABLES.values()}:
            require(
                self.study_name != folder, f"a `study_name` other than {folder}", folder, "champions are stored there"
            )

    @property
    def folder(self) -> Path:
        """Return the absolute folder of the study: trials run in other working directories."""
        return Path(self.storage_path).expanduser().resolve() / self.study_name


def settings_of(request: Request) -> TuneConfig:
    """Return the settings that a command line describes, with the search space and the study that follow from them.

    Raises:
        ConfigError: a value is wrong, or the search space is one of another trainable.
    """
    config = {key: value for key, value in request.config.items() if key != "trainable"}
    named = isinstance(config["trials"], list) and bool(request.verb or not config["trials"])
    require(named, "`trials` to list the trials of a verb", f"{config['trials']}", "see budget.trials")
    settings, chosen = build(TuneConfig, config), request.choices["trainable"]
    space = settings.space or TRAINABLES[chosen].space
    owner = SPACE_TRAINABLES[space]
    law = f"`trainable={owner}` with `space={space}`"
    require(owner == chosen, law, f"trainable={chosen}", f"add trainable={owner}")
    return replace(settings, space=space, study_name=settings.study_name or space)
