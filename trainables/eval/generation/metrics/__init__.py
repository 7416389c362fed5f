"""The metrics of generated movements: one file and one line of this list each.

Every record is computed from a `trainables.eval.generation.evaluation.GeneratorEvaluation`. The validator, the
re-evaluation, promotion, the service's card, the tables and the reference take theirs from `GENERATION`. No module here
imports torch or NumPy: the names and directions are needed by command lines that start in a moment.
"""

from trainables.eval.generation.metrics import (
    c2st,
    condition_error,
    density_coverage,
    memorisation,
    mmd,
    prd,
    precision_recall,
    rejected,
    training_loop,
)
from trainables.training.metric import MetricSet

GENERATION = MetricSet(
    metrics=(
        *c2st.METRICS,
        *mmd.METRICS,
        *prd.METRICS,
        *precision_recall.METRICS,
        *density_coverage.METRICS,
        *memorisation.METRICS,
        *condition_error.METRICS,
        *rejected.METRICS,
        *training_loop.METRICS,
    ),
    headline="val/c2st",
    tie_breaker="val/mmd",
    axis_title=f"{c2st.CHANCE}: indistinguishable",
    headline_title=f"C2ST on held-out users ({c2st.CHANCE}: indistinguishable)",
    description="C2ST on held-out users: the balanced accuracy of a probe that classifies movements as real or "
    "generated. One half means that it cannot distinguish them.",
    compared_with="against real movements of the validation split",
    resampled="noise",
    plot_subject="samples",
    evaluate_command="platform.evaluate",
)
