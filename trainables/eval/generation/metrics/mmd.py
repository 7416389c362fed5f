"""Maximum mean discrepancy between the features of generated and real movements.

References: A Kernel Two-Sample Test (Gretton et al., 2012), lemma 6.
"""

from collections.abc import Callable
from typing import Any

from trainables.eval.generation.metrics.evaluation_type import GeneratorEvaluation
from trainables.training.metric import Metric
from trainables.training.metric_names import MINIMISED, VAL_MMD


def mmd(evaluation: GeneratorEvaluation) -> float:
    """Return the unbiased squared discrepancy under the kernel width of the validator; it may be negative."""
    from trainables.eval.two_sample.mmd import mmd_rbf

    return mmd_rbf(evaluation.scaled.real, evaluation.scaled.others[0], evaluation.sigma)


def mmd_per_user(evaluation: GeneratorEvaluation) -> Callable[[Any], float]:
    """Return the discrepancy on chosen movements."""
    return lambda movements: evaluation.mmd_of(evaluation.samples_of(movements))


METRICS = (
    Metric(
        VAL_MMD,
        MINIMISED,
        "Unbiased squared maximum mean discrepancy of the features, RBF kernel; 0: no difference in its means.",
        title="MMD",
        symbol="MMD²",
        compute=mmd,
        per_user=mmd_per_user,
    ),
)
