"""The promotion rule of critics: a limit of the shortfall, and the test that it is smaller than the champion's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from platform.promotion.rule import Rule
from trainables.core.bounds import NonNegativeFloat, PositiveFloat, Range, check
from trainables.training.metric_names import VAL_GOAL_LOSS, VAL_GOAL_SHORTFALL


@dataclass(frozen=True)
class CriticLimitsConfig:
    """Limits of a challenger's own metrics, whichever champion it replaces."""

    # largest shortfall; at 0 a critic is as accurate as distance or extrapolation without any training
    goal_shortfall: Annotated[float, Range(ge=-1, le=1)] = 0.0
    latency_ms_per_movement: PositiveFloat = 50.0  # largest time per movement, in milliseconds, on one thread

    def __post_init__(self) -> None:
        check(self)

    @property
    def laws(self) -> Mapping[str, tuple[str, float]]:
        """Metric -> sign and bound."""
        return {VAL_GOAL_SHORTFALL: ("<=", self.goal_shortfall)}


@dataclass(frozen=True)
class CriticMarginsConfig:
    """Margins by which a challenger with a smaller shortfall may be worse in other metrics."""

    goal_infonce: NonNegativeFloat = 0.2  # by which InfoNCE may be larger, in nats
    latency_ratio: NonNegativeFloat = 4.0  # largest time of the challenger over the time of the champion

    def __post_init__(self) -> None:
        check(self)

    @property
    def figures(self) -> Mapping[str, float]:
        """Metric -> how much worse than the champion's it may be."""
        return {VAL_GOAL_LOSS: self.goal_infonce}


@dataclass(frozen=True)
class CriticRuleConfig:
    """Limits and margins of critics."""

    limits: CriticLimitsConfig = field(default_factory=CriticLimitsConfig)
    margins: CriticMarginsConfig = field(default_factory=CriticMarginsConfig)

    def rule(self, confidence: float) -> Rule:
        """The rule with this one-sided confidence."""
        return Rule(confidence, self.limits, self.margins)
