"""Dequantisation: recorded steps are whole pixels, a network's are not, and the critic must not live on that.

Each recorded step gets a uniform shift of less than half a pixel in any direction. Samples are rounded to whole pixels
before any evaluation, and the same rounding takes shifted recordings back to what they were: so nothing is lost,
while a step of zero becomes a place that a generator can hit.

References: A note on the evaluation of generative models (Theis et al., 2016), section 3.1, arXiv:1511.01844.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.data.dataset import Sequences
from trainables.data.splits.statistics import Statistics

RADIUS_PX = 0.5


def dequantised(sequences: Sequences, statistics: Statistics, random: torch.Generator) -> Sequences:
    """Standardised sequences whose displacements are shifted uniformly within a disc of half a pixel."""
    z, mask = sequences
    steps_px = statistics.expand(z)
    steps_px[..., :2] += disc(z.shape[0], z.shape[1], random)
    return Sequences((statistics.compress(steps_px) * mask[..., None]).float(), mask)


def disc(rows: int, steps: int, random: torch.Generator) -> Float[Tensor, "B T 2"]:
    """Uniform points of the disc with radius `RADIUS_PX`: r = R sqrt(u), at any angle; float64."""
    u, turn = torch.rand(2, rows, steps, generator=random, dtype=torch.float64)
    radius, angle = RADIUS_PX * u.sqrt(), 2 * math.pi * turn
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)
