"""Independent random streams by name, so that one use of randomness never shifts another.

Every consumer draws from `generator(seed, "its name", ...)`. Switching a feature off therefore leaves all other draws
as they were, which is what makes "weight 0 equals the plain loss bit for bit" a fact and not a hope.
"""

import hashlib

import torch


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream `names` of `seed`: the head of BLAKE2b over their text.

    >>> derive(0, "shuffle") == derive(0, "shuffle") != derive(0, "noise")
    True
    """
    text = "/".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh `torch.Generator` at the start of the stream `names` of `seed`."""
    return torch.Generator(device=device).manual_seed(derive(seed, *names))
