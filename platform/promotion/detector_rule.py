"""The promotion rule of detectors: limits of their own metrics, and margins against the champion.

The test is that of `platform.promotion.rule`: the share of bots that are missed, of the worst family never trained on,
must be lower, paired on the same users and the same bots. A threshold counts by its effect on users that took no part
in fitting it, so that the FPR on the users of the split, at the threshold of the validation users, has a limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from platform.promotion.rule import Rule
from trainables.core.bounds import NonNegativeFloat, PositiveFloat, Share, check
from trainables.training.metric_names import VAL_FNR_WORST_UNSEEN, VAL_FPR, VAL_SEEN_AUC, VAL_UNSEEN_AUC


@dataclass(frozen=True)
class DetectorLimitsConfig:
    """Limits of a challenger's own metrics, whichever champion it replaces."""

    # largest FNR on the worst unseen family; a detector at chance has 0.99
    fnr_at_fpr_worst_unseen: Share = 0.75
    # largest FPR of users that the threshold was not fitted on; 1 % of 334 users is 0.3 to 2.6 % of others like them
    fpr: Share = 0.04
    latency_ms_per_movement: PositiveFloat = 2.0  # largest time per movement, in milliseconds, on one thread

    def __post_init__(self) -> None:
        check(self)

    @property
    def laws(self) -> Mapping[str, tuple[str, float]]:
        """Metric -> sign and bound."""
        return {VAL_FNR_WORST_UNSEEN: ("<=", self.fnr_at_fpr_worst_unseen), VAL_FPR: ("<=", self.fpr)}


@dataclass(frozen=True)
class DetectorMarginsConfig:
    """Margins by which a challenger with a lower FNR on the worst family may be worse in other metrics."""

    # by which the AUC on unseen families may be smaller; unlike an FNR at one threshold it rests on all users
    unseen_auc: NonNegativeFloat = 0.03
    # by which the AUC on seen families may be smaller; eleven in twelve pairs keep it
    seen_auc: NonNegativeFloat = 0.03
    latency_ratio: NonNegativeFloat = 2.0  # largest time of the challenger over the time of the champion

    def __post_init__(self) -> None:
        check(self)

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
