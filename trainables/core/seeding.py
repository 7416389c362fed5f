"""Independent random streams by name, so that one use of randomness never shifts another.

Every consumer draws from `generator(seed, "its name", ...)`. Switching a feature off therefore leaves all other draws
as they were, which is what makes "weight 0 equals the plain loss bit for bit" a fact and not a hope.
"""

import torch

from trainables.core.derived_seeds import derive

__all__ = ["derive", "generator"]


def generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh `torch.Generator` at the start of the stream `names` of `seed`."""
    return torch.Generator(device=device).manual_seed(derive(seed, *names))
