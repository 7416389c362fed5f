"""The record of the trainable `gan`; imports inside `load`, so that commands start without torch."""

from trainables.gan.config import GanConfig
from trainables.generation.model_type import GENERATOR
from trainables.training.trainable import TrainableParts, TrainableSpec


def load() -> TrainableParts:
    """Import the training loop, its cost and the loader of checkpoints."""
    from trainables.gan.api import load_gan
    from trainables.gan.cost import measure
    from trainables.gan.train import epochs
    from trainables.training.worker import require_equal_shares

    return TrainableParts(epochs, measure, load_gan, require_shares=require_equal_shares)


SPEC = TrainableSpec(
    name="gan",
    about="adversarial baseline: generator and critic under a condition",
    config=GanConfig,
    model_type=GENERATOR,
    space="gan",
    load=load,
)
