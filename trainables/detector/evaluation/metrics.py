"""The metrics of a detector, one record each: false-negative rates at a fixed false-positive rate, AUC, calibration.

Every record is computed from a `trainables.detector.evaluation.detection_rates.DetectionRates`. This module imports
neither torch nor NumPy: command lines need the names and directions before either is loaded.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainables.training.metric import MODEL_SIZE, SHARE, Metric, MetricSet
from trainables.training.metric_names import (
    MAXIMISED,
    MINIMISED,
    VAL_BRIER,
    VAL_CALIBRATION_ERROR,
    VAL_FNR_SEEN,
    VAL_FNR_UNSEEN,
    VAL_FNR_WORST_UNSEEN,
    VAL_FPR,
    VAL_SEEN_AUC,
    VAL_UNSEEN_AUC,
    family_fnr,
)

if TYPE_CHECKING:
    from trainables.detector.evaluation.detection_rates import DetectionRates
else:
    DetectionRates = Any


def fnr_worst_unseen(rates: DetectionRates) -> float | None:
    """Return the largest FNR of a family that was never trained on; None where no family is held out."""
    return max((rates.fnr[family] for family in rates.unseen_families), default=None)


def fnr_by_family(rates: DetectionRates) -> Mapping[str, float]:
    """Return the FNR of every family."""
    return {family_fnr(family): value for family, value in rates.fnr.items()}


def fnr_unseen(rates: DetectionRates) -> float | None:
    """Return the mean FNR of the families that were left out of the training."""
    return _mean(rates.fnr, rates.unseen_families)


def fnr_seen(rates: DetectionRates) -> float | None:
    """Return the mean FNR of the families that were trained on."""
    return _mean(rates.fnr, rates.seen_families)


def auc_unseen(rates: DetectionRates) -> float | None:
    """Return the mean AUC of the families that were left out of the training."""
    return _mean(rates.auc, rates.unseen_families)


def auc_seen(rates: DetectionRates) -> float | None:
    """Return the mean AUC of the families that were trained on."""
    return _mean(rates.auc, rates.seen_families)


def fpr(rates: DetectionRates) -> float | None:
    """Return the FPR at the validation users' threshold; None where that is the very threshold of these users."""
    return rates.fpr_at_validation_threshold


def brier(rates: DetectionRates) -> float | None:
    """Return the Brier score of the calibrated probabilities; None where none were fitted."""
    return None if rates.calibration is None else rates.calibration.brier


def calibration_error(rates: DetectionRates) -> float | None:
    """Return the expected calibration error; None where no probabilities were fitted."""
    return None if rates.calibration is None else rates.calibration.ece


def _mean(values: Mapping[str, float], families: tuple[str, ...]) -> float | None:
    return sum(values[family] for family in families) / len(families) if families else None


DETECTION = MetricSet(
    metrics=(
        Metric(
            VAL_FNR_WORST_UNSEEN,
            MINIMISED,
            "False-negative rate at the target FPR of the unseen bot family that is detected worst; 0: all detected.",
            title="worst FNR",
            digits=3,
            range=SHARE,
            compute=fnr_worst_unseen,
            breakdown=fnr_by_family,
        ),
        Metric(
            VAL_FNR_UNSEEN,
            MINIMISED,
            "Mean false-negative rate at the target FPR over bot families that were left out of the training.",
            title="unseen FNR",
            digits=3,
            range=SHARE,
            compute=fnr_unseen,
        ),
        Metric(
            VAL_FNR_SEEN,
            MINIMISED,
            "Mean false-negative rate at the target FPR over bot families that were trained on.",
            title="seen FNR",
            digits=3,
            range=SHARE,
            compute=fnr_seen,
        ),
        Metric(
            VAL_UNSEEN_AUC,
            MAXIMISED,
            "Mean AUC over bot families that were left out of the training.",
            range=SHARE,
            compute=auc_unseen,
        ),
        Metric(
            VAL_SEEN_AUC, MAXIMISED, "Mean AUC over bot families that were trained on.", range=SHARE, compute=auc_seen
        ),
        Metric(
            VAL_BRIER, MINIMISED, "Brier score of the probabilities; 0: certain and right.", range=SHARE, compute=brier
        ),
        Metric(
            VAL_CALIBRATION_ERROR,
            MINIMISED,
            "Expected calibration error of the probabilities; 0: each is as frequent as stated.",
            range=SHARE,
            compute=calibration_error,
        ),
        Metric(
            VAL_FPR,
            MINIMISED,
            "Share of users flagged at the validation users' threshold; only a re-evaluation on other users has it.",
            range=SHARE,
            compute=fpr,
            reported=False,
        ),
        MODEL_SIZE,
    ),
    headline=VAL_FNR_WORST_UNSEEN,
    tie_breaker=VAL_FNR_UNSEEN,
    axis_title="0: every bot is detected",
    headline_title="FNR of the worst bot family never trained on (0: every bot is detected)",
    description="False-negative rate: of every bot family that was never trained on, the share of its movements that "
    "are not flagged at a threshold fixed on held-out users, of whom only a small share may be flagged "
    "(evaluation.fpr). The largest of these shares counts.",
    compared_with="against bots under the conditions of the validation split",
    resampled="bots",
    plot_subject="scores",
    evaluate_command="platform.evaluate",
    recommended="last",
    fallback_metrics=(VAL_FNR_SEEN,),
)
