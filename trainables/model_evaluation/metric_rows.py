"""Metrics of samples beside the real movements that they match, with intervals over users, for tables and cards."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainables.core.formatting import format_interval, number
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.eval.generation.config import MINIMUM_MOVEMENTS, EvaluationConfig, MetricConfig
from trainables.eval.generation.metrics import GENERATION
from trainables.eval.generation.validator import Validator, metrics_of
from trainables.eval.intervals.jackknife import Interval, JackknifeEstimate, difference, interval
from trainables.model_evaluation.generator import metrics_by_user, users_of
from trainables.training.metric import UNBOUNDED

CONFIDENCE = 0.95


@dataclass(frozen=True)
class MetricRow:
    """Metrics of one set of samples.

    Attributes:
        values: Every metric that is computed after an epoch.
        estimates: Those that are also computed without each user.
    """

    values: Mapping[str, float]
    estimates: Mapping[str, JackknifeEstimate]

    def intervals(self) -> dict[str, Interval]:
        """Return the metrics with their intervals, in the order in which metrics are listed."""
        found = self.estimates.items()
        return {name: interval(estimate, CONFIDENCE, GENERATION[name].range) for name, estimate in found}

    def differences(self, first: "MetricRow") -> dict[str, Interval]:
        """Return the differences to other samples under the same conditions, user by user."""
        common = [name for name in self.estimates if name in first.estimates]
        found = {name: difference(self.estimates[name], first.estimates[name]) for name in common}
        return {name: interval(estimate, CONFIDENCE, UNBOUNDED) for name, estimate in found.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as plain values: with an interval where there is one, else the value alone."""
        alone = {name: {"value": value} for name, value in self.values.items() if name not in self.estimates}
        return {**alone, **{name: asdict(found) for name, found in self.intervals().items()}}


def validator_of(
    real: Canonical, training: Canonical, form: CanonicalConfig, comparison: MetricConfig
) -> tuple[Validator, tuple[str, ...]]:
    """Return the validator of all these real movements, and their users, sorted.

    Raises:
        ConfigError: Too few movements.
    """
    count = max(len(real), MINIMUM_MOVEMENTS)
    config = EvaluationConfig(count, folds=comparison.folds, seed=comparison.seed)
    validator = Validator.fit(real, training, form, config)
    return validator, users_of(validator)


def metric_row(validator: Validator, samples: Canonical) -> MetricRow:
    """Return the metrics of one sample per real movement of the validator."""
    evaluations = validator.evaluations(samples)
    return MetricRow(metrics_of(evaluations), metrics_by_user(validator, evaluations))


def shown_interval(name: str, found: Interval) -> str:
    """Return a metric with its interval as tables show it."""
    return format_interval(found.value, found.low, found.high, GENERATION[name].digits)


def shown_metrics(names: Sequence[str], row: MetricRow) -> list[str]:
    """Return the cells of a table: metrics with their interval where there is one."""
    intervals = row.intervals()
    digits = {name: GENERATION[name].digits for name in names}
    return [
        shown_interval(name, intervals[name]) if name in intervals else number(row.values.get(name), digits[name])
        for name in names
    ]
