"""All metrics by name, and the set of each kind of trainable: what searches, reports and promotion look names up in."""

from collections.abc import Mapping
from typing import Any

from trainables.specs import TRAINABLES
from trainables.training.metric import DIGITS, TRAINING_LOSS, UNBOUNDED, Metric, MetricSet

METRIC_SETS: Mapping[str, MetricSet] = {name: spec.metrics for name, spec in TRAINABLES.items()}
"""Name of a trainable, which is the kind of its checkpoints -> its metrics."""

METRICS: Mapping[str, Metric[Any]] = {
    metric.name: metric for metric_set in METRIC_SETS.values() for metric in (*metric_set.metrics, TRAINING_LOSS)
}

DIRECTIONS: Mapping[str, str] = {
    metric.name: metric.direction for metric in METRICS.values() if metric.reported and metric is not TRAINING_LOSS
}
"""Which way a metric that trials report is better: what may be an objective, a constraint or the scheduler's metric."""


def title(name: str) -> str:
    """Return the head of a metric's column; its name where no record describes it."""
    return METRICS[name].column if name in METRICS else name


def symbol(name: str) -> str:
    """Return a metric's symbol in reports."""
    return (METRICS[name].symbol if name in METRICS else "") or title(name)


def value_range(name: str) -> tuple[float, float]:
    """Return the smallest and the largest value that a metric can take; unbounded where no record describes it."""
    return METRICS[name].range if name in METRICS else UNBOUNDED


def digits(name: str) -> int:
    """Return the number of decimal places that a metric is shown with."""
    return METRICS[name].digits if name in METRICS else DIGITS
