"""Classifier two-sample test: how well a probe separates generated from real movements on held-out folds.

References: Revisiting Classifier Two-Sample Tests (Lopez-Paz & Oquab, 2017), arXiv:1610.06545.
"""

from collections.abc import Callable
from typing import Any

from trainables.eval.generation.metrics.evaluation_type import GeneratorEvaluation
from trainables.training.metric import SHARE, Metric
from trainables.training.metric_names import MINIMISED, VAL_C2ST, VAL_C2ST_AUC, VAL_C2ST_EXCESS

CHANCE = 0.5  # of samples that cannot be distinguished from real movements


def accuracy(evaluation: GeneratorEvaluation) -> float:
    """Return the held-out balanced accuracy."""
    return evaluation.two_sample_test.accuracy


def auc(evaluation: GeneratorEvaluation) -> float:
    """Return the area under the ROC curve, averaged over folds."""
    return evaluation.two_sample_test.auc


def excess(evaluation: GeneratorEvaluation) -> float:
    """Return max(0, accuracy - 0.5)."""
    return max(0.0, evaluation.two_sample_test.accuracy - CHANCE)


def accuracy_per_user(
    evaluation: GeneratorEvaluation,
) -> Callable[[Any], float]:
    """Return the balanced accuracy on chosen movements, from the decisions of one fit."""
    real, fake = evaluation.held_out.correct

    def of(movements: Any) -> float:
        rows = evaluation.samples_of(movements)
        return float(real[rows].mean() + fake[rows].mean()) / 2

    return of


METRICS = (
    Metric(
        VAL_C2ST,
        MINIMISED,
        "Balanced accuracy of a probe that classifies movements as real or generated; 0.5: indistinguishable.",
        title="C2ST",
        digits=3,
        chance=CHANCE,
        excess=VAL_C2ST_EXCESS,
        range=SHARE,
        compute=accuracy,
        per_user=accuracy_per_user,
    ),
    Metric(
        VAL_C2ST_AUC,
        MINIMISED,
        "Area under the ROC curve of the same probe; 0.5: indistinguishable.",
        range=SHARE,
        compute=auc,
    ),
    Metric(VAL_C2ST_EXCESS, MINIMISED, "max(0, C2ST - 0.5): what a search minimises.", compute=excess),
)
