"""Precision and recall of distributions (PRD): of clusters of the pooled features.

References: Assessing Generative Models via Precision and Recall (Sajjadi et al., 2018), arXiv:1806.00035.
"""

from trainables.eval.generation.metrics.evaluation_type import GeneratorEvaluation
from trainables.training.metric import SHARE, Metric
from trainables.training.metric_names import MAXIMISED, VAL_PRD_PRECISION, VAL_PRD_RECALL


def precision(evaluation: GeneratorEvaluation) -> float:
    """Return the largest F_1/8 score."""
    return evaluation.prd[0]


def recall(evaluation: GeneratorEvaluation) -> float:
    """Return the largest F_8 score."""
    return evaluation.prd[1]


METRICS = (
    Metric(
        VAL_PRD_PRECISION,
        MAXIMISED,
        "PRD precision: realism of the samples, by clusters.",
        range=SHARE,
        compute=precision,
    ),
    Metric(
        VAL_PRD_RECALL,
        MAXIMISED,
        "PRD recall: coverage of the real movements, by clusters.",
        range=SHARE,
        compute=recall,
    ),
)
