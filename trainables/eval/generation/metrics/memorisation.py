"""Memorisation: distance to the training movements, against that of users who are not among them.

The definitions stand in `trainables.eval.generation.memorisation`.
"""

from collections.abc import Callable
from typing import Any

from trainables.eval.generation.metrics.evaluation_type import GeneratorEvaluation
from trainables.training.metric import NOT_NEGATIVE, SHARE, Metric
from trainables.training.metric_names import (
    MAXIMISED,
    MINIMISED,
    VAL_COPIED_SHARE,
    VAL_MEMORISATION,
    VAL_MEMORISED_SHARE,
)


def ratio(evaluation: GeneratorEvaluation) -> float:
    """Return the median distance of samples over that of held-out users."""
    return evaluation.memorisation.ratio


def share(evaluation: GeneratorEvaluation) -> float:
    """Return the share of samples nearer than all but 1 % of held-out users."""
    return evaluation.memorisation.share


def ratio_per_user(evaluation: GeneratorEvaluation) -> Callable[[Any], float]:
    """Return the ratio on chosen movements."""
    distance, reference = evaluation.training_distance, evaluation.training.reference

    def of(movements: Any) -> float:
        return (distance[evaluation.samples_of(movements)].median() / reference[movements].median()).item()

    return of


def share_per_user(evaluation: GeneratorEvaluation) -> Callable[[Any], float]:
    """Return the share on chosen movements."""
    near = (evaluation.training_distance <= evaluation.training.near).numpy()
    return lambda movements: float(near[evaluation.samples_of(movements)].mean())


def copied_share(evaluation: GeneratorEvaluation) -> float:
    """Return the share of samples that copy an evaluated movement."""
    return float(evaluation.copied.double().mean())


def copied_share_per_user(evaluation: GeneratorEvaluation) -> Callable[[Any], float]:
    """Return the share on chosen movements."""
    copied = evaluation.copied.numpy()
    return lambda movements: float(copied[evaluation.samples_of(movements)].mean())


METRICS = (
    Metric(
        VAL_MEMORISATION,
        MAXIMISED,
        "Median distance to the training movements over that of held-out users; about 1, and 0 for copies.",
        range=NOT_NEGATIVE,
        compute=ratio,
        per_user=ratio_per_user,
    ),
    Metric(
        VAL_MEMORISED_SHARE,
        MINIMISED,
        "Share of samples nearer to a training movement than all but 1 % of held-out users; about 0.01, 1 for copies.",
        range=SHARE,
        compute=share,
        per_user=share_per_user,
    ),
    Metric(
        VAL_COPIED_SHARE,
        MINIMISED,
        "Share of samples as near to an evaluated movement; at most about 0.01, 1 for copies of the evaluated users.",
        range=SHARE,
        compute=copied_share,
        per_user=copied_share_per_user,
    ),
)
