"""The type of every model that generates movements."""

from trainables.eval.generation.metrics import GENERATION
from trainables.training.trainable import ModelType

GENERATOR = ModelType("generator", GENERATION, "registry")
