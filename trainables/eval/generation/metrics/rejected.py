"""Rejected samples: those that are no movements any more after re-observation."""

from collections.abc import Callable
from typing import Any

from trainables.eval.generation.metrics.evaluation_type import GeneratorEvaluation
from trainables.training.metric import SHARE, Metric
from trainables.training.metric_names import MINIMISED, VAL_REJECTED


def rejected(evaluation: GeneratorEvaluation) -> float:
    """Return the share of rejected samples."""
    return evaluation.rejected


def rejected_per_user(
    evaluation: GeneratorEvaluation,
) -> Callable[[Any], float]:
    """Return the share on chosen movements."""
    return evaluation.rejected_of


METRICS = (
    Metric(
        VAL_REJECTED,
        MINIMISED,
        "Share of samples without net displacement, or not finite, after re-observation; no other metric counts them.",
        range=SHARE,
        compute=rejected,
        per_user=rejected_per_user,
    ),
)
