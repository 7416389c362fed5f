"""Density and coverage: precision and recall that outliers move less.

References: Reliable Fidelity and Diversity Metrics (Naeem et al., 2020), arXiv:2002.09797.
"""

from trainables.eval.generation.metrics.evaluation_type import GeneratorEvaluation
from trainables.training.metric import NOT_NEGATIVE, SHARE, Metric
from trainables.training.metric_names import MAXIMISED, VAL_COVERAGE, VAL_DENSITY


def density(evaluation: GeneratorEvaluation) -> float:
    """Return how many real neighbourhoods hold a sample, over k; it may exceed 1."""
    return evaluation.density_coverage[0]


def coverage(evaluation: GeneratorEvaluation) -> float:
    """Return the share of real neighbourhoods that hold a sample."""
    return evaluation.density_coverage[1]


METRICS = (
    Metric(
        VAL_DENSITY,
        MAXIMISED,
        "Real neighbourhoods (k = 5) that hold a sample; 1: as real.",
        range=NOT_NEGATIVE,
        compute=density,
    ),
    Metric(
        VAL_COVERAGE,
        MAXIMISED,
        "Share of real neighbourhoods (k = 5) that hold a sample.",
        range=SHARE,
        compute=coverage,
    ),
)
