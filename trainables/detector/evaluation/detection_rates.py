"""Detection rates of bot families at a threshold fitted on users: FNR and ROC-AUC of seen and unseen families."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.eval.detection.calibration import Reliability
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.roc_curve import curve, roc_auc


@dataclass(frozen=True)
class DetectionRates:
    """Rates from which the metrics of a detector are computed.

    Attributes:
        fnr: Family -> share of its movements at or below the threshold of the target FPR.
        auc: Family -> area under the ROC curve against all users.
        unseen: Families that were left out of the training, present or not.
        fpr_at_validation_threshold: Share of these users flagged at the validation users' threshold; None if the two
            thresholds are the same.
        calibration: Reliability of the calibrated probabilities; None if no temperature was fitted.
    """

    fnr: Mapping[str, float]
    auc: Mapping[str, float]
    unseen: frozenset[str]
    fpr_at_validation_threshold: float | None = None
    calibration: Reliability | None = None

    @property
    def unseen_families(self) -> tuple[str, ...]:
        """Evaluated families that were left out of the training."""
        return tuple(family for family in self.fnr if family in self.unseen)

    @property
    def seen_families(self) -> tuple[str, ...]:
        """Evaluated families of the training."""
        return tuple(family for family in self.fnr if family not in self.unseen)


def detection_rates(
    users: Float[Tensor, "N"],
    bots: Mapping[str, Float[Tensor, "_"]],
    unseen: Collection[str],
    fpr: float,
    *,
    validation_threshold: float | None = None,
    calibration: Reliability | None = None,
) -> DetectionRates:
    """Return the rates of scores at the threshold that flags at most a share `fpr` of these users.

    Args:
        bots: Family -> scores of its movements.
        unseen: Families that were left out of the training.
        validation_threshold: Second threshold, at which the share of flagged users is computed.

    Raises ValueError for no users, no bots of a family, scores that are not finite, and unless `0 < fpr < 1`.
    """
    threshold = threshold_at_fpr(users, fpr).value
    return DetectionRates(
        fnr={family: (scores <= threshold).double().mean().item() for family, scores in bots.items()},
        auc={family: area(users, scores) for family, scores in bots.items()},
        unseen=frozenset(unseen),
        fpr_at_validation_threshold=(
            None if validation_threshold is None else (users > validation_threshold).double().mean().item()
        ),
        calibration=calibration,
    )


def area(users: Float[Tensor, "N"], bots: Float[Tensor, "M"]) -> float:
    """Return the area under the ROC curve."""
    scores = torch.cat([users, bots])
    is_bot = torch.arange(len(scores)) >= len(users)
    return roc_auc(curve(scores, is_bot, torch.ones(1, len(scores), dtype=torch.float64))).item()
