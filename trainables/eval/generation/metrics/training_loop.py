"""Metrics that a training loop reports itself: the validation loss and the size of the network."""

from typing import Any

from trainables.training.metric import MODEL_SIZE, Metric
from trainables.training.metric_names import MINIMISED, VAL_LOSS

METRICS: tuple[Metric[Any], ...] = (
    Metric(VAL_LOSS, MINIMISED, "Denoising error on the validation split, the same times and noise in every epoch."),
    MODEL_SIZE,
)
