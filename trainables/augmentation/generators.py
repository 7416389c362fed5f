"""The generators of movements in a network's training set."""

from collections.abc import Callable
from pathlib import Path

import torch

from trainables.augmentation.config import AugmentationConfig
from trainables.core.config import require
from trainables.data.canonical import Canonical, Movements, decode
from trainables.data.config import CanonicalConfig
from trainables.physical.api import load_physical
from trainables.physical.minimum_jerk import MinimumJerk
from trainables.training.checkpoint import load_record
from trainables.training.checkpoint_record import require_same_data

Generate = Callable[[Canonical, torch.Generator], Movements]
"""(movements whose conditions are taken, random) -> one movement on the screen for each."""
SEEDS = 2**62  # of the samples of a fitted model


def minimum_jerk(config: AugmentationConfig, canonical: CanonicalConfig, data_sha256: str) -> Generate:
    """Return the minimum-jerk model with its published parameters."""
    return MinimumJerk()


def physical(config: AugmentationConfig, canonical: CanonicalConfig, data_sha256: str) -> Generate:
    """Return the physical model of a checkpoint.

    Raises:
        CheckpointError: No whole checkpoint of a physical model, or one that was fitted to other data.
        ConfigError: Its movements are of another canonical form.
    """
    checkpoint = Path(config.physical_checkpoint)
    model = load_physical(checkpoint)
    require_same_data(checkpoint, load_record(checkpoint), data_sha256)
    law = "the canonical form of the physical model to be that of the data"
    require(model.canonical == canonical, law, f"{model.canonical} and {canonical}", "fit it to the same data")

    def generate(like: Canonical, random: torch.Generator) -> Movements:
        seed = int(torch.randint(SEEDS, (1,), generator=random))
        return decode(model.sample_matching(like, seed=seed), canonical)

    return generate


GENERATORS: dict[str, Callable[[AugmentationConfig, CanonicalConfig, str], Generate]] = {
    "minimum_jerk": minimum_jerk,
    "physical": physical,
}
"""Name -> (configuration, canonical form, hash of the data) -> generator."""
