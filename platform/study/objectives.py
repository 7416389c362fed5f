"""Objectives and constraints of a sweep: metrics by name, weighted sums of them, and bounds.

val/auc_excess                       a metric, optimised in its direction
val/auc_excess+2*val/mmd             a sum, minimised; metrics that are better when larger are subtracted
val/recall>=0.5                      a constraint
"""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainables.core.config import ConfigError
from trainables.core.renamed import RETIRED_METRICS, metric_today
from trainables.metric_registry import DIRECTIONS
from trainables.training.metric_names import MINIMISED

TERM = re.compile(r"([+-]?)(?:(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\*)?([a-z0-9_]+/[a-z0-9_]+)")
BOUND = re.compile(r"([a-z0-9_]+/[a-z0-9_]+)(<=|>=)([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)")


@dataclass(frozen=True)
class Objective:
    """A value of a trial that is optimised.

    Attributes:
        terms: Metric -> its weight in the sum.
        direction: "minimize" or "maximize", as Optuna spells them.
    """

    text: str
    terms: Mapping[str, float]
    direction: str

    @classmethod
    def parse(cls, text: str) -> "Objective":
        """Parse a metric or a weighted sum of metrics.

        Raises:
            ConfigError: the text has another form, or a metric is unknown.
        """
        bare, terms, at = text.replace(" ", ""), dict[str, float](), 0
        while at < len(bare):
            match = TERM.match(bare, at)
            if not match or (at and not match[1]):
                raise ConfigError(
                    f"expected `objectives` to be metrics or sums as val/auc_excess+2*val/mmd, but got {text}"
                )
            if match[3] in terms:
                raise ConfigError(
                    f"expected each metric once in an objective, but got {text}; give {match[3]} one weight"
                )
            terms[_known(match[3])] = float(f"{match[1]}{match[2] or 1}")
            at = match.end()
        if not terms:
            raise ConfigError("expected `objectives` to name metrics, but got an empty text; remove it")
        if list(terms.values()) == [1.0]:
            [direction] = {DIRECTIONS[name] for name in terms}
            return cls(bare, terms, direction)
        for name, weight in terms.items():
            if weight == 0 or (weight > 0) != (DIRECTIONS[name] == MINIMISED):
                raise ConfigError(
                    "expected `objectives` to add metrics that are minimised and subtract those that are maximised, "
                    f"but got {weight:g}*{name} in {text}; change its sign"
                )
        return cls(bare, terms, MINIMISED)

    def value(self, metrics: Mapping[str, float]) -> float | None:
        """Return the weighted sum; None where a metric is missing."""
        if any(name not in metrics for name in self.terms):
            return None
        return sum(weight * metrics[name] for name, weight in self.terms.items())

    @property
    def minimised(self) -> bool:
        """Whether smaller is better."""
        return self.direction == MINIMISED


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric."""

    text: str
    metric: str
    bound: float
    at_most: bool

    @classmethod
    def parse(cls, text: str) -> "Constraint":
        """Parse `metric<=bound` or `metric>=bound`.

        Raises:
            ConfigError: the text has another form, or a metric is unknown.
        """
        match = BOUND.fullmatch(text.replace(" ", ""))
        if not match:
            raise ConfigError(
                f"expected `constraints` of the form metric>=bound, but got {text}; write val/recall>=0.5"
            )
        return cls(match[0], _known(match[1]), float(match[3]), match[2] == "<=")

    def excess(self, metrics: Mapping[str, float]) -> float:
        """Return by how much the bound is violated: 0 or less where it is met, infinite where the metric is missing."""
        if self.metric not in metrics:
            return float("inf")
        over = metrics[self.metric] - self.bound
        return over if self.at_most else -over


@dataclass(frozen=True)
class Goal:
    """Objectives, constraints and scheduler metric.

    Attributes:
        scheduler_metric: Metric that the scheduler compares; the intermediate value of trials.
        last_epoch: Of a trial that nothing stops.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    scheduler_metric: str
    last_epoch: int

    @property
    def scheduler_mode(self) -> str:
        """Direction of the scheduler metric as Tune spells it."""
        return "min" if DIRECTIONS[self.scheduler_metric] == MINIMISED else "max"

    def metrics_by_key(self) -> dict[str, list[str]]:
        """Return the metrics that each key of a sweep names."""
        return {
            "objectives": [name for objective in self.objectives for name in objective.terms],
            "constraints": [constraint.metric for constraint in self.constraints],
            "scheduler.metric": [self.scheduler_metric],
        }

    def values(self, metrics: Mapping[str, float]) -> list[float] | None:
        """Return the objectives in order; None where one is missing."""
        values = [objective.value(metrics) for objective in self.objectives]
        return None if None in values else [value for value in values if value is not None]

    def invalid_reason(self, result: Mapping[str, Any]) -> str:
        """Return why a result is invalid: the first metric that is missing or not finite; empty for a valid result."""
        needed = [name for objective in self.objectives for name in objective.terms]
        for name in [*needed, *(constraint.metric for constraint in self.constraints)]:
            if name not in result:
                return f"{name} was never reported"
            if not math.isfinite(result[name]):
                return f"{name} is {result[name]}"
        return ""


def _known(metric: str) -> str:
    today = metric_today(metric)
    if today != metric:
        raise ConfigError(f"`{metric}` was renamed: use {today}")
    if metric in RETIRED_METRICS:
        raise ConfigError(f"`{metric}` is no metric any more: {RETIRED_METRICS[metric]}")
    if metric not in DIRECTIONS:
        close = difflib.get_close_matches(metric, DIRECTIONS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(DIRECTIONS)}"
        raise ConfigError(f"unknown metric {metric}; {hint}")
    return metric
