"""The record of the trainable `distill`; imports inside `load`, so that commands start without torch."""

from typing import Any

from trainables.distillation.config import DistillConfig
from trainables.generation.model_type import GENERATOR
from trainables.training.metric import NOT_NEGATIVE, Metric
from trainables.training.metric_names import MINIMISED, VAL_RMS_TO_TEACHER
from trainables.training.trainable import TrainableParts, TrainableSpec

RMS_TO_TEACHER: Metric[Any] = Metric(
    VAL_RMS_TO_TEACHER,
    MINIMISED,
    "Root mean square distance in px between the positions of a distilled model's samples and of its teacher's from "
    "the same noise; 0: no difference.",
    title="RMS to teacher",
    digits=2,
    range=NOT_NEGATIVE,
)


def load() -> TrainableParts:
    """Import the training loop, its cost and the loader of checkpoints, which are those of a diffusion."""
    from trainables.diffusion.api import load_generator
    from trainables.distillation.cost import measure
    from trainables.distillation.train import epochs
    from trainables.training.worker import require_equal_parts

    return TrainableParts(epochs, measure, load_generator, require_shares=require_equal_parts)


SPEC = TrainableSpec(
    name="distill",
    about="a diffusion of few network calls, distilled from one of many by halving them",
    config=DistillConfig,
    model_type=GENERATOR,
    space="distill",
    load=load,
    own_metrics=(RMS_TO_TEACHER,),
)
