"""The record of the trainable `detector`; imports inside `load`, so that commands start without torch."""

from trainables.detector.config import DetectorConfig
from trainables.detector.evaluation.metrics import DETECTION
from trainables.training.trainable import ModelType, TrainableParts, TrainableSpec

DETECTOR = ModelType("detector", DETECTION, "registry-detector")


def load() -> TrainableParts:
    """Import the training loop, its cost and the loader of checkpoints."""
    from trainables.detector.api import load_trained_detector
    from trainables.detector.cost import measure
    from trainables.detector.train import epochs
    from trainables.training.worker import require_equal_shares

    return TrainableParts(epochs, measure, load_trained_detector, require_shares=require_equal_shares)


SPEC = TrainableSpec(
    name="detector",
    about="detector of bots, with embeddings of task and embodiment",
    config=DetectorConfig,
    model_type=DETECTOR,
    space="detector",
    load=load,
)
