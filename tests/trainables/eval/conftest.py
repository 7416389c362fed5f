"""Synthetic movements on a pixel grid: minimum-jerk paths with a bow and tremor, in canonical form."""

import math

import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor

Batch = tuple[Float[Tensor, "N T 2"], Bool[Tensor, "N T"]]


def pixel_path(steps: int, generator: torch.Generator) -> list[tuple[float, float]]:
    """Displacements of one movement; rounding to pixels gives it still steps and exact reversals."""
    share = torch.arange(steps + 1, dtype=torch.float64) / steps
    along = 10 * share**3 - 15 * share**4 + 6 * share**5
    bow, *direction = torch.randn(3, generator=generator, dtype=torch.float64).tolist()
    angle, distance = math.atan2(*direction), 30 + 60 * abs(bow)
    across = 0.2 * bow * torch.sin(math.pi * share)
    x = distance * (along * math.cos(angle) - across * math.sin(angle))
    y = distance * (along * math.sin(angle) + across * math.cos(angle))
    tremor = 0.7 * torch.randn(steps + 1, 2, generator=generator, dtype=torch.float64)
    points = (torch.stack([x, y], dim=1) + tremor).round()
    net = points[-1] - points[0]
    cos, sin = (net / net.norm() ** 2).tolist()
    return [(dx * cos + dy * sin, dy * cos - dx * sin) for dx, dy in points.diff(dim=0).tolist()]


def pad(paths: list[list[tuple[float, float]]]) -> Batch:
    """Paths of different length as a batch with its mask."""
    longest = max(len(path) for path in paths)
    deltas = torch.zeros(len(paths), longest, 2, dtype=torch.float64)
    mask = torch.zeros(len(paths), longest, dtype=torch.bool)
    for row, path in enumerate(paths):
        deltas[row, : len(path)] = torch.tensor(path, dtype=torch.float64)
        mask[row, : len(path)] = True
    return deltas, mask


@pytest.fixture(scope="session")
def batch() -> Batch:
    """Sixty movements of 4 to 48 steps."""
    generator = torch.Generator().manual_seed(7)
    lengths = torch.randint(4, 49, (60,), generator=generator).tolist()
    return pad([pixel_path(steps, generator) for steps in lengths])
