"""The promotion rule of agents: a limit of the failures, and the test that there are fewer than the champion's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from platform.promotion.rule import Rule
from trainables.core.bounds import NonNegativeFloat, PositiveFloat, Share, check
from trainables.training.metric_names import VAL_REACH_FAILURE, VAL_REACH_SECONDS


@dataclass(frozen=True)
class AgentLimitsConfig:
    """Limits of a challenger's own metrics, whichever champion it replaces."""

    reach_failure: Share = 0.5  # largest share of targets that are not reached
    latency_ms_per_movement: PositiveFloat = 50.0  # largest time per movement, in milliseconds, on one thread

    def __post_init__(self) -> None:
        check(self)

    @property
    def laws(self) -> Mapping[str, tuple[str, float]]:
        """Metric -> sign and bound."""
        return {VAL_REACH_FAILURE: ("<=", self.reach_failure)}


@dataclass(frozen=True)
class AgentMarginsConfig:
    """Margins by which a challenger with fewer failures may be worse in other metrics."""

    reach_seconds: NonNegativeFloat = 0.2  # by which the mean time may be longer, in seconds
    latency_ratio: NonNegativeFloat = 4.0  # largest time of the challenger over the time of the champion

    def __post_init__(self) -> None:
        check(self)

    @property
    def figures(self) -> Mapping[str, float]:
        """Metric -> how much worse than the champion's it may be."""
        return {VAL_REACH_SECONDS: self.reach_seconds}


@dataclass(frozen=True)
class AgentRuleConfig:
    """Limits and margins of agents."""

    limits: AgentLimitsConfig = field(default_factory=AgentLimitsConfig)
    margins: AgentMarginsConfig = field(default_factory=AgentMarginsConfig)

    def rule(self, confidence: float) -> Rule:
        """The rule with this one-sided confidence."""
        return Rule(confidence, self.limits, self.margins)
