"""The metrics of an agent, one record each: how often it reaches its targets, and how fast.

Every record is computed from a `trainables.critic.agent.evaluation.reach_evaluation.ReachEvaluation`. This module
imports neither torch nor NumPy: command lines need the names and directions before either is loaded.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trainables.training.metric import MODEL_SIZE, NOT_NEGATIVE, SHARE, Metric, MetricSet
from trainables.training.metric_names import (
    MAXIMISED,
    MINIMISED,
    VAL_REACH_ERROR,
    VAL_REACH_FAILURE,
    VAL_REACH_SECONDS,
    VAL_REACH_SUCCESS,
)

if TYPE_CHECKING:
    from trainables.critic.agent.evaluation.reach_evaluation import ReachEvaluation
else:
    ReachEvaluation = Any


def _mean(name: str, statistic: str, direction: str, description: str, **more: Any) -> Metric[Any]:
    """Return the record of a metric that is a mean over episodes."""

    def compute(evaluation: ReachEvaluation) -> float:
        return evaluation.mean(statistic)

    def per_user(evaluation: ReachEvaluation) -> Callable[[Any], float]:
        return evaluation.statistic(statistic)

    return Metric(name, direction, description, compute=compute, per_user=per_user, **more)


AGENT = MetricSet(
    metrics=(
        _mean(
            VAL_REACH_FAILURE,
            "failure",
            MINIMISED,
            "Share of fixed episodes in which the target is not reached: inside of it and slow for 100 ms.",
            title="failure",
            digits=3,
            range=SHARE,
        ),
        _mean(
            VAL_REACH_SECONDS,
            "seconds",
            MINIMISED,
            "Mean time to the target in seconds; that of the whole episode where it is not reached.",
            title="seconds",
            digits=2,
            range=NOT_NEGATIVE,
        ),
        _mean(
            VAL_REACH_SUCCESS,
            "success",
            MAXIMISED,
            "Share of fixed episodes in which the target is reached.",
            range=SHARE,
        ),
        _mean(
            VAL_REACH_ERROR,
            "error_px",
            MINIMISED,
            "Mean distance in px of the last position from the centre of the target.",
            digits=1,
            range=NOT_NEGATIVE,
        ),
        MODEL_SIZE,
    ),
    headline=VAL_REACH_FAILURE,
    tie_breaker=VAL_REACH_SECONDS,
    axis_title="0: every target is reached",
    headline_title="Share of targets that the agent does not reach (0: none)",
    description="Failure: how often the agent, without exploration, is not inside of its target and slow for 100 ms "
    "within an episode, in fixed episodes with fixed motor noise.",
    compared_with="in the episodes of the validation",
    resampled="episodes",
    plot_subject="trajectories",
    evaluate_command="platform.evaluate",
)
