"""The form of a search space: parameters by dotted configuration key, each with its law, and the metric that judges."""

from collections.abc import Mapping
from dataclasses import dataclass

from optuna.distributions import BaseDistribution

Value = float | int | str | bool | None


@dataclass(frozen=True)
class Space:
    """What a sweep over one trainable may vary.

    Attributes:
        trainable: Name of the trainable, and of its configuration file.
        parameters: Dotted key of the trainable's configuration -> law.
        metric: The reported metric that is minimised.
        tie_breaker: Compared where the metric is equal.
        baselines: Points that every study evaluates first.
    """

    trainable: str
    parameters: Mapping[str, BaseDistribution]
    metric: str
    tie_breaker: str
    baselines: tuple[Mapping[str, Value], ...]
