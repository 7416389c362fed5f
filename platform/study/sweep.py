"""A checked sweep: its settings, the configuration of the trainable, and the search space."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from platform.study.config import TuneConfig
from platform.study.objectives import Constraint, Goal, Objective
from search_spaces import Space
from trainables.metric_registry import METRIC_SETS
from trainables.training.metric import MetricSet


@dataclass(frozen=True)
class Sweep:
    """A checked sweep: its settings, the configuration of the trainable, and the search space.

    Attributes:
        fixed: Keys of the space that the user set.
        left_out: For each baseline outside of a distribution of the command line, its values outside.
    """

    settings: TuneConfig
    trainable: Mapping[str, Any]
    space: Space
    fixed: tuple[str, ...]
    left_out: tuple[Mapping[str, Any], ...] = ()

    @property
    def goal(self) -> Goal:
        """Objectives, constraints and scheduler metric."""
        settings = self.settings
        objectives = tuple(map(Objective.parse, settings.objectives or (self.metric_set.headline,)))
        scheduler_metric = settings.scheduler.metric or next(iter(objectives[0].terms))
        return Goal(objectives, tuple(map(Constraint.parse, settings.constraints)), scheduler_metric, self.epochs)

    @property
    def metric_set(self) -> MetricSet:
        """Headline metric and display names of the trainable."""
        return METRIC_SETS[self.space.trainable]

    @property
    def default(self) -> Mapping[str, Any] | None:
        """Point of the default configuration, the first baseline; None where it lies outside of what is searched."""
        return self.space.baselines[0] if self.space.baselines and not self.left_out else None

    @property
    def epochs(self) -> int:
        """Last epoch of a trial that is not pruned."""
        return int(self.trainable["epochs"])
