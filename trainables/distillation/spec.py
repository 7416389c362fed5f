"""The record of the trainable `distill`; imports inside `load`, so that commands start without torch."""

from trainables.distillation.config import DistillConfig
from trainables.generation.model_type import GENERATOR
from trainables.training.trainable import TrainableParts, TrainableSpec


def load() -> TrainableParts:
    """Import the training loop, its cost and the loader of checkpoints, which are those of a diffusion."""
    from trainables.diffusion.api import load_generator
    from trainables.distillation.cost import measure
    from trainables.distillation.train import epochs

    return TrainableParts(epochs, measure, load_generator)


SPEC = TrainableSpec(
    name="distill",
    about="a diffusion of few network calls, distilled from one of many by halving them",
    config=DistillConfig,
    model_type=GENERATOR,
    space="distill",
    load=load,
)
