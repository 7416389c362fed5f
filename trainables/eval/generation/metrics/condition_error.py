"""Condition error: how far samples miss the duration, distance, path length and turning that were requested."""

from trainables.eval.generation.metrics.evaluation_type import GeneratorEvaluation
from trainables.training.metric import NOT_NEGATIVE, Metric
from trainables.training.metric_names import MINIMISED, VAL_CONDITION_ERROR
from trainables.training.metric_names import condition_error as column_name


def mean_error(evaluation: GeneratorEvaluation) -> float:
    """Return the mean over columns of the median absolute error, in standard deviations of the training split."""
    errors = by_column(evaluation)
    return sum(errors.values()) / len(errors)


def by_column(evaluation: GeneratorEvaluation) -> dict[str, float]:
    """Return the median absolute error of each column, in standard deviations of the training split."""
    return {column_name(error.name): error.median_absolute_sd for error in evaluation.condition_errors}


METRICS = (
    Metric(
        VAL_CONDITION_ERROR,
        MINIMISED,
        "Mean over the measured conditions of the median absolute error, in training standard deviations; 0: obeyed.",
        range=NOT_NEGATIVE,
        compute=mean_error,
        breakdown=by_column,
    ),
)
