"""The record of the trainable `cotraining`; imports inside `load`, so that commands start without torch."""

from trainables.cotraining.config import CotrainingConfig
from trainables.cotraining.epoch_notes import epoch_notes
from trainables.generation.model_type import GENERATOR
from trainables.training.trainable import TrainableParts, TrainableSpec


def load() -> TrainableParts:
    """Import the training loop, its cost and the loader of checkpoints."""
    from trainables.cotraining.api import load_cotrained
    from trainables.cotraining.cost import measure
    from trainables.cotraining.train import epochs, require_shares

    return TrainableParts(epochs, measure, load_cotrained, require_shares=require_shares)


SPEC = TrainableSpec(
    name="cotraining",
    about="a physical model and a diffusion, in cycles on real movements and those of the other",
    config=CotrainingConfig,
    model_type=GENERATOR,
    space="cotraining",
    load=load,
    notes=epoch_notes,
)
