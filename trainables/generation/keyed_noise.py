"""Gaussian noise keyed by (seed, row number), the same for a row whatever is drawn with it."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.core.seeding import generator

NOISE_BLOCK = 16  # `torch.randn` draws by as many values; a last block that is not full would be drawn another way


def keyed_noise(
    keys: Sequence[tuple[int, int]], sequence_length: int, channels: int, *purpose: str | int
) -> Float[Tensor, "N T C"]:
    """Gaussian noise of samples by (seed, number): each depends on its key and the purpose alone.

    It is drawn in the order of time, so that the first steps have theirs whatever the length.
    """
    wanted = sequence_length * channels
    drawn = -(-wanted // NOISE_BLOCK) * NOISE_BLOCK
    noise = [torch.randn(drawn, generator=generator(seed, *purpose, number))[:wanted] for seed, number in keys]
    return (
        torch.stack(noise).view(-1, sequence_length, channels) if noise else torch.empty(0, sequence_length, channels)
    )
