"""What the generators of this folder are asked to match, and the random stream that they are given."""

import torch

from trainables.data.canonical import Canonical


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def asked(lengths: list[int], distance_px: list[float], angle: list[float]) -> Canonical:
    """What a generator is asked to match; it may look at durations, distances, directions and groups alone."""
    count = len(lengths)
    return Canonical(
        torch.full((count, 64, 2), float("nan"), dtype=torch.float64),
        torch.ones(count, 64, dtype=torch.bool),
        torch.tensor(angle, dtype=torch.float64),
        torch.tensor(distance_px, dtype=torch.float64),
        torch.tensor(lengths) / 60.0,
        tuple(f"person{i}" for i in range(count)),
    )


ASKED = asked([8, 20, 64, 33, 33], [8.0, 100.0, 1500.7, 40.2, 400.0], [0.0, 3.0, -1.2, 1.6, -3.1])
