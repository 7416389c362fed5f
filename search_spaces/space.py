"""The form of a search space: parameters by dotted configuration key with their distributions, and its baselines."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from optuna.distributions import BaseDistribution

Value = float | int | str | bool | None


@dataclass(frozen=True)
class Condition:
    """A parameter that has a meaning only where another one took one of these values."""

    key: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Space:
    """What a sweep over one trainable may vary.

    Attributes:
        trainable: Name of the trainable, and of its configuration file.
        parameters: Dotted key of the trainable's configuration -> distribution.
        baselines: Points that every study evaluates first.
        conditions: Key of a parameter -> where it is active; elsewhere it has its configured value. The key that a
            condition names stands before it in `parameters`.
    """

    trainable: str
    parameters: Mapping[str, BaseDistribution]
    baselines: tuple[Mapping[str, Value], ...]
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    def active(self, key: str, chosen: Mapping[str, Value]) -> bool:
        """Whether a parameter is active after those that were `chosen` before it."""
        condition = self.conditions.get(key)
        return condition is None or chosen.get(condition.key) in condition.values
