"""The metrics of generated movements: one file and one line of this list each.

Every record is computed from a `trainables.eval.generation.evaluation.GeneratorEvaluation`. The validator, the
re-evaluation, promotion, the service's card, the tables and the reference take theirs from `GENERATION`. No module here
imports torch or NumPy: the names and directions are needed by command lines that start in a moment.
"""

from trainables.eval.generation.metrics import (
    condition_error,
    density_coverage,
    memorisation,
    mmd,
    prd,
    precision_recall,
    rejected,
    two_sample,
)
from trainables.training.metric import MODEL_SIZE, MetricSet

GENERATION = MetricSet(
    metrics=(
        *two_sample.METRICS,
        *mmd.METRICS,
        *prd.METRICS,
        *precision_recall.METRICS,
        *density_coverage.METRICS,
        *memorisation.METRICS,
        *condition_error.METRICS,
        *rejected.METRICS,
        MODEL_SIZE,
    ),
    headline="val/auc_excess",
    tie_breaker="val/mmd",
    axis_title=f"{two_sample.NO_EXCESS:g}: as other users",
    headline_title=f"Excess of the AUC on held-out users ({two_sample.NO_EXCESS:g}: as other users)",
    description="Excess of the AUC on held-out users: how much better a probe separates generated movements from "
    "those of held-out users than it separates other users from them; of three probes the largest. Zero means that the "
    "generator is to them what another user is.",
    compared_with="against real movements of the validation split",
    resampled="noise",
    plot_subject="samples",
    evaluate_command="platform.evaluate",
)
