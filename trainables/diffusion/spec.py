"""The record of the trainable `diffusion`; imports inside `load`, so that commands start without torch."""

from trainables.diffusion.config import DiffusionConfig
from trainables.generation.model_type import GENERATOR
from trainables.training.trainable import TrainableParts, TrainableSpec


def load() -> TrainableParts:
    """Import the training loop, its cost and the loader of checkpoints."""
    from trainables.diffusion.api import load_generator
    from trainables.diffusion.cost import measure
    from trainables.diffusion.loop import epochs

    return TrainableParts(epochs, measure, load_generator)


SPEC = TrainableSpec(
    name="diffusion",
    about="diffusion over 60 Hz steps, or over their latents, under a condition",
    config=DiffusionConfig,
    model_type=GENERATOR,
    space="diffusion",
    load=load,
    other_spaces=("diffusion_ranking_loss",),
)
