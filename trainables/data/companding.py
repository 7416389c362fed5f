"""Companding: pixels on a scale where one pixel matters near zero and a percent matters far from it.

A hand at rest gives steps of exactly zero, a correction gives one or two pixels, a stroke a hundred. Modelled linearly,
the error that is small for the stroke drowns the rest, and generated movements never stand still: with the default
recordings that alone told them apart. With g(r) = asinh(r / 1 px) of the step's length the zeros, the single pixels and
the strokes are all some standard deviations apart. The direction of a step is kept, so rotations pass through.
"""

import torch
from jaxtyping import Float
from torch import Tensor

SCALE_PX = 1.0  # linear below, logarithmic above: the pixel grid of the observation model


def compand(steps_px: Float[Tensor, "*B T 2"]) -> Float[Tensor, "*B T 2"]:
    """asinh(r / SCALE_PX) d / r for a step d of length r; 0 for a step of length 0."""
    length = steps_px.norm(dim=-1, keepdim=True)
    return _rescaled(steps_px, length, torch.asinh(length / SCALE_PX))


def expand(companded: Float[Tensor, "*B T 2"]) -> Float[Tensor, "*B T 2"]:
    """SCALE_PX sinh(|u|) u / |u|; inverse of `compand`."""
    length = companded.norm(dim=-1, keepdim=True)
    return _rescaled(companded, length, SCALE_PX * torch.sinh(length))


def _rescaled(vectors: Tensor, length: Tensor, wanted: Tensor) -> Tensor:
    return vectors * torch.where(length > 0, wanted / length.clamp(min=torch.finfo(length.dtype).tiny), 0.0)
