"""Companding: pixels on a scale where one pixel matters near zero and a percent matters far from it.

A hand at rest gives steps of exactly zero, a correction gives one or two pixels, a stroke a hundred. Modelled linearly,
the error that is small for the stroke drowns the rest, and generated movements never stand still: with the default
recordings that alone distinguished them. With g(r) = asinh(r / scale) of the step's length the zeros, the single pixels
and the strokes are all some standard deviations apart. The direction of a step is kept, so rotations pass through.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Scale = Tensor | float
"""Pixels: linear well below it, logarithmic well above."""


def compand(steps_px: Float[Tensor, "*B T C"], scale_px: Scale) -> Float[Tensor, "*B T C"]:
    """asinh(r / scale) d / r for a step d of length r (0 for length 0); a third channel becomes its asinh."""
    return _rescaled(steps_px, lambda length: torch.asinh(length / scale_px), torch.asinh)


def expand(companded: Float[Tensor, "*B T C"], scale_px: Scale) -> Float[Tensor, "*B T C"]:
    """scale sinh(|u|) u / |u|, and the sinh of a third channel; inverse of `compand`."""
    return _rescaled(companded, lambda length: scale_px * _sinh(length), _sinh)


def _sinh(u: Tensor) -> Tensor:
    """Return sinh by expm1, which rounds each value alike; `torch.sinh` rounds the last of an array differently."""
    return (torch.expm1(u) - torch.expm1(-u)) / 2


def _rescaled(sequence: Tensor, wanted: Callable[[Tensor], Tensor], time: Callable[[Tensor], Tensor]) -> Tensor:
    vectors = sequence[..., :2]
    length = vectors.norm(dim=-1, keepdim=True)
    scaled = torch.where(length > 0, wanted(length) / length.clamp(min=torch.finfo(length.dtype).tiny), 0.0)
    return torch.cat([vectors * scaled, time(sequence[..., 2:])], dim=-1)
