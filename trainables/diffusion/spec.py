"""The record of the trainable `diffusion`; imports inside `load`, so that commands start without torch."""

from typing import Any

from trainables.diffusion.config import DiffusionConfig
from trainables.generation.model_type import GENERATOR
from trainables.training.metric import Metric
from trainables.training.metric_names import MINIMISED, VAL_LOSS
from trainables.training.trainable import TrainableParts, TrainableSpec

DENOISING_ERROR: Metric[Any] = Metric(
    VAL_LOSS, MINIMISED, "Denoising error on the validation split, the same times and noise in every epoch."
)


def load() -> TrainableParts:
    """Import the training loop, its cost and the loader of checkpoints."""
    from trainables.diffusion.api import load_generator
    from trainables.diffusion.cost import measure
    from trainables.diffusion.loop import epochs, require_shares

    return TrainableParts(epochs, measure, load_generator, require_shares=require_shares)


SPEC = TrainableSpec(
    name="diffusion",
    about="diffusion over 60 Hz steps, or over their latents, under a condition",
    config=DiffusionConfig,
    model_type=GENERATOR,
    space="diffusion",
    load=load,
    other_spaces=("diffusion_ranking_loss",),
    own_metrics=(DENOISING_ERROR,),
)
