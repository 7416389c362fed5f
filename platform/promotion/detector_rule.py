"""The promotion rule of detectors: limits of their own metrics, and margins against the champion.

The test is that of `platform.promotion.rule`: the share of bots that are missed, of the worst family never trained on,
must be lower, paired on the same users and the same bots. A threshold counts by its effect on users that took no part
in fitting it, so that the FPR on the users of the split, at the threshold of the validation users, has a limit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from platform.promotion.rule import Rule
from trainables.core.config import require
from trainables.training.metric_names import VAL_FNR_WORST_UNSEEN, VAL_FPR, VAL_SEEN_AUC, VAL_UNSEEN_AUC


@dataclass(frozen=True)
class DetectorLimitsConfig:
    """Limits of a challenger's own metrics, whichever champion it replaces."""

    fnr_at_fpr_worst_unseen: float = 0.75  # at most; a detector that knows nothing misses 0.99
    fpr: float = 0.04  # at most, of users it was not fitted on; 1 % of 334 users is 0.3 to 2.6 % of others like them
    latency_ms_per_movement: float = 2.0  # at most, on one thread

    def __post_init__(self) -> None:
        for name in ("fnr_at_fpr_worst_unseen", "fpr"):
            require(0 <= getattr(self, name) <= 1, f"`0 <= {name} <= 1`", f"{name}={getattr(self, name)}")
        latency = self.latency_ms_per_movement
        require(latency > 0, "`latency_ms_per_movement > 0`", f"latency_ms_per_movement={latency}")

    @property
    def laws(self) -> Mapping[str, tuple[str, float]]:
        """Metric -> sign and bound."""
        return {VAL_FNR_WORST_UNSEEN: ("<=", self.fnr_at_fpr_worst_unseen), VAL_FPR: ("<=", self.fpr)}


@dataclass(frozen=True)
class DetectorMarginsConfig:
    """Margins by which a challenger with a lower FNR on the worst family may be worse in other metrics."""

    unseen_auc: float = 0.03  # what is missed at one threshold rests on a few users, an area on all of them
    seen_auc: float = 0.03  # eleven in twelve pairs that differ by their seed alone keep each
    latency_ratio: float = 2.0  # time of the challenger over time of the champion

    def __post_init__(self) -> None:
        for name, margin in vars(self).items():
            require(0 <= margin < math.inf, f"`0 <= {name} < inf`", f"{name}={margin}")

    @property
    def figures(self) -> Mapping[str, float]:
        """Metric -> how much worse than the champion's it may be."""
        return {VAL_UNSEEN_AUC: self.unseen_auc, VAL_SEEN_AUC: self.seen_auc}


@dataclass(frozen=True)
class DetectorRuleConfig:
    """Limits and margins of detectors."""

    limits: DetectorLimitsConfig = field(default_factory=DetectorLimitsConfig)
    margins: DetectorMarginsConfig = field(default_factory=DetectorMarginsConfig)

    def rule(self, confidence: float) -> Rule:
        """The rule with this one-sided confidence."""
        return Rule(confidence, self.limits, self.margins)
