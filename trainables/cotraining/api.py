"""The trained pair: a checkpoint samples from the model that its record names, and holds the other one as well."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from trainables.cotraining.state import KIND
from trainables.diffusion.api import Generator, generator_of
from trainables.generation.selection.selector import load_selector
from trainables.physical.api import PhysicalGenerator, physical_of
from trainables.training.checkpoint import CheckpointError, load_checkpoint_of, select, weights_that_fit

SHARED = ("statistics", "known")


def load_cotrained(
    checkpoint: Path, device: torch.device | str = "cpu", side: str | None = None
) -> Generator | PhysicalGenerator:
    """Return one model of a checkpoint of a co-training, ready to sample.

    Args:
        side: `diffusion` or `physical`; None: the one that the checkpoint samples from.

    Raises:
        CheckpointError: not a whole checkpoint of a co-training, its tensors do not fit its own configuration, or it
            has no such model.
    """
    tensors, record = load_checkpoint_of(KIND, checkpoint)
    chosen = side or record.get("samples_from")
    if chosen == "diffusion":
        with weights_that_fit(checkpoint):
            generator = generator_of(record, of_side("diffusion", tensors), torch.device(device))
        samples_from = record.get("samples_from") == "diffusion"  # a selector is that of what the checkpoint samples
        selector = load_selector(checkpoint, record["weights_sha256"]) if samples_from else None
        return replace(generator, selector=selector)
    if chosen == "physical":
        return physical_of(record, of_side("physical", tensors), checkpoint)
    raise CheckpointError(f"{checkpoint}: expected a side `diffusion` or `physical`, but got {chosen}")


def of_side(side: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that a checkpoint of one model alone has."""
    shared = {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] in SHARED}
    return {**select(side, tensors), **shared}
