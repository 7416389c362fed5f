"""Movements that the generators of this folder match, and their random stream."""

import torch

from trainables.data.canonical import Canonical


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def requested(lengths: list[int], distance_px: list[float], angle: list[float]) -> Canonical:
    """Return movements to match; a generator may use their durations, distances, directions and groups only."""
    count = len(lengths)
    return Canonical(
        torch.full((count, 64, 2), float("nan"), dtype=torch.float64),
        torch.ones(count, 64, dtype=torch.bool),
        torch.tensor(angle, dtype=torch.float64),
        torch.tensor(distance_px, dtype=torch.float64),
        torch.tensor(lengths) / 60.0,
        tuple(f"user{i}" for i in range(count)),
        source=tuple(f"source{i % 2}" for i in range(count)),
    )


REQUESTED = requested([8, 20, 64, 33, 33], [8.0, 100.0, 1500.7, 40.2, 400.0], [0.0, 3.0, -1.2, 1.6, -3.1])
