"""Improved precision and recall: shares of movements inside the other side's k-nearest-neighbour manifold.

References: Improved Precision and Recall Metric (Kynkäänniemi et al., 2019), arXiv:1904.06991.
"""

from collections.abc import Callable
from typing import Any

from trainables.eval.generation.metrics.evaluation_type import GeneratorEvaluation
from trainables.training.metric import SHARE, Metric
from trainables.training.metric_names import MAXIMISED, VAL_PRECISION, VAL_RECALL


def precision(evaluation: GeneratorEvaluation) -> float:
    """Return the share of samples inside the real manifold."""
    return evaluation.neighbours[0]


def recall(evaluation: GeneratorEvaluation) -> float:
    """Return the share of real movements inside the manifold of the samples."""
    return evaluation.neighbours[1]


def precision_per_user(
    evaluation: GeneratorEvaluation,
) -> Callable[[Any], float]:
    """Return the share on chosen movements; manifolds stay those of all rows."""
    realistic, _ = evaluation.neighbour_rows
    return lambda movements: float(realistic[evaluation.samples_of(movements)].mean())


def recall_per_user(evaluation: GeneratorEvaluation) -> Callable[[Any], float]:
    """Return the share on chosen movements; manifolds stay those of all rows."""
    _, recalled = evaluation.neighbour_rows
    return lambda movements: float(recalled[evaluation.samples_of(movements)].mean())


METRICS = (
    Metric(
        VAL_PRECISION,
        MAXIMISED,
        "Share of samples inside the real movements' manifold (k = 3): realism.",
        range=SHARE,
        compute=precision,
        per_user=precision_per_user,
    ),
    Metric(
        VAL_RECALL,
        MAXIMISED,
        "Share of real movements inside the samples' manifold (k = 3): coverage.",
        range=SHARE,
        compute=recall,
        per_user=recall_per_user,
    ),
)
