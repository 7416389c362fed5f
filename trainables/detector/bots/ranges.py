"""Random parameters of bots: one value per row, as columns that broadcast over its events.

Constant parameters would identify a bot, so every style draws its own for each movement.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Range = tuple[float, float]  # low and high


def uniform(bounds: Range, count: int, random: torch.Generator) -> Float[Tensor, "N 1"]:
    """Draw one uniform value per row."""
    low, high = bounds
    return low + (high - low) * torch.rand(count, 1, generator=random, dtype=torch.float64)


def log_uniform(bounds: Range, count: int, random: torch.Generator) -> Float[Tensor, "N 1"]:
    """Draw one value per row, log-uniformly: for quantities that vary by a factor."""
    return uniform((math.log(bounds[0]), math.log(bounds[1])), count, random).exp()


def occasional(probability: float, bounds: Range, count: int, random: torch.Generator) -> Float[Tensor, "N 1"]:
    """Draw one uniform value per row with the stated probability, else 0."""
    return torch.where(chance(probability, count, random), uniform(bounds, count, random), 0.0)


def chance(probability: float, count: int, random: torch.Generator) -> Bool[Tensor, "N 1"]:
    """Return True with the stated probability, row by row."""
    return uniform((0.0, 1.0), count, random) < probability


def either_sign(count: int, random: torch.Generator) -> Float[Tensor, "N 1"]:
    """Draw -1 or 1 per row."""
    return torch.where(chance(0.5, count, random), 1.0, -1.0).double()


def whole(low: int, high: int, count: int, random: torch.Generator) -> Int[Tensor, "N 1"]:
    """Draw one integer per row, low <= n <= high."""
    return torch.randint(low, high + 1, (count, 1), generator=random)
