"""The metrics of a critic, one record each: how often it finds the goal of a step, beside what distance alone finds.

Every record is computed from a `trainables.critic.evaluation.goal_evaluation.GoalEvaluation`. This module imports
neither torch nor NumPy: command lines need the names and directions before either is loaded.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from trainables.training.metric import MODEL_SIZE, NOT_NEGATIVE, SHARE, Metric, MetricSet
from trainables.training.metric_names import (
    MAXIMISED,
    MINIMISED,
    VAL_GOAL_ACCURACY,
    VAL_GOAL_CHANCE,
    VAL_GOAL_DISTANCE,
    VAL_GOAL_EXTRAPOLATION,
    VAL_GOAL_LOSS,
    VAL_GOAL_MASKED,
    VAL_GOAL_SHORTFALL,
    of_source,
)

if TYPE_CHECKING:
    from trainables.critic.evaluation.goal_evaluation import GoalEvaluation
else:
    GoalEvaluation = Any

SCORE_OF = {
    VAL_GOAL_ACCURACY: "critic",
    VAL_GOAL_DISTANCE: "distance",
    VAL_GOAL_EXTRAPOLATION: "extrapolation",
    VAL_GOAL_CHANCE: "chance",
    VAL_GOAL_LOSS: "loss",
    VAL_GOAL_MASKED: "masked",
}
"""Metric -> the score that it is the mean of."""


def shortfall(evaluation: GoalEvaluation) -> float:
    """Return how much less accurate the critic is than the better baseline."""
    return evaluation.shortfall()


def shortfall_by_source(evaluation: GoalEvaluation) -> Mapping[str, float]:
    """Return the shortfall of each of several sources."""
    return {of_source(VAL_GOAL_SHORTFALL, source): one.shortfall() for source, one in evaluation.by_source().items()}


def shortfall_per_user(evaluation: GoalEvaluation) -> Callable[[Any], float]:
    """Return the shortfall as a function of row numbers."""
    return evaluation.shortfall_statistic()


def _score(name: str, direction: str, description: str, **more: Any) -> Metric[Any]:
    """Return the record of a metric that is the mean over sources of a score."""
    score = SCORE_OF[name]

    def compute(evaluation: GoalEvaluation) -> float:
        return evaluation.mean(score)

    def by_source(evaluation: GoalEvaluation) -> Mapping[str, float]:
        return {of_source(name, source): one.mean(score) for source, one in evaluation.by_source().items()}

    def per_user(evaluation: GoalEvaluation) -> Callable[[Any], float]:
        return evaluation.statistic(score)

    return Metric(name, direction, description, compute=compute, breakdown=by_source, per_user=per_user, **more)


CRITIC = MetricSet(
    metrics=(
        Metric(
            VAL_GOAL_SHORTFALL,
            MINIMISED,
            "Goal accuracy of the better of two baselines minus that of the critic; below 0: the critic is better.",
            title="shortfall",
            digits=3,
            range=(-1.0, 1.0),
            compute=shortfall,
            breakdown=shortfall_by_source,
            per_user=shortfall_per_user,
        ),
        _score(
            VAL_GOAL_LOSS,
            MINIMISED,
            "InfoNCE of the critic in nats, without the penalty; the logarithm of the batch size: chance.",
            title="InfoNCE",
            digits=3,
            range=NOT_NEGATIVE,
        ),
        _score(
            VAL_GOAL_ACCURACY,
            MAXIMISED,
            "Share of (state, action) pairs whose own goal has the largest f of all goals of the batch.",
            title="goal accuracy",
            digits=3,
            range=SHARE,
        ),
        _score(
            VAL_GOAL_DISTANCE, MAXIMISED, "The same by minus the distance of the goal from the position.", range=SHARE
        ),
        _score(
            VAL_GOAL_EXTRAPOLATION,
            MAXIMISED,
            "The same by minus the distance from where the pointer would be if it moved straight on.",
            range=SHARE,
        ),
        _score(VAL_GOAL_CHANCE, MAXIMISED, "The same of a constant f.", range=SHARE),
        _score(VAL_GOAL_MASKED, MINIMISED, "Share of the other goals of a batch that are no negatives.", range=SHARE),
        MODEL_SIZE,
    ),
    headline=VAL_GOAL_SHORTFALL,
    tie_breaker=VAL_GOAL_LOSS,
    axis_title="below 0: better than distance alone",
    headline_title="Goal accuracy of the better baseline minus that of the critic (below 0: the critic is better)",
    description="Goal accuracy: of the goals of a batch, how often the critic gives the largest f to the one that a "
    "step led to, on held-out users. What counts is by how much the better of two baselines without any training, the "
    "distance and the distance after linear extrapolation, is more accurate on the same batches.",
    compared_with="on the goals of the validation split",
    resampled="transitions",
    plot_subject="values",
    evaluate_command="platform.evaluate",
)
