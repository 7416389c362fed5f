"""The record of the trainable `physical`; imports inside `load`, so that commands start without torch."""

from trainables.generation.model_type import GENERATOR
from trainables.physical.config import PhysicalConfig
from trainables.training.trainable import TrainableParts, TrainableSpec


def load() -> TrainableParts:
    """Import the fit, its cost and the loader of checkpoints."""
    from trainables.physical.api import load_physical
    from trainables.physical.cost import measure
    from trainables.physical.train import epochs

    return TrainableParts(epochs, measure, load_physical)


SPEC = TrainableSpec(
    name="physical",
    about="strokes of a kinematic model, fitted to movements, and a population of them",
    config=PhysicalConfig,
    model_type=GENERATOR,
    space="physical",
    load=load,
)
