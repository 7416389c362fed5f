"""Metrics that a training loop reports itself: validation loss, distance to a teacher, and size of the network."""

from typing import Any

from trainables.training.metric import MODEL_SIZE, NOT_NEGATIVE, Metric
from trainables.training.metric_names import MINIMISED, VAL_LOSS, VAL_RMS_TO_TEACHER

METRICS: tuple[Metric[Any], ...] = (
    Metric(VAL_LOSS, MINIMISED, "Denoising error on the validation split, the same times and noise in every epoch."),
    Metric(
        VAL_RMS_TO_TEACHER,
        MINIMISED,
        "Root mean square distance in px between the positions of a distilled model's samples and of its teacher's "
        "from the same noise; 0: no difference.",
        title="RMS to teacher",
        digits=2,
        range=NOT_NEGATIVE,
    ),
    MODEL_SIZE,
)
