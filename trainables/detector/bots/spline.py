"""Bots on smooth curves: Bezier curves of random control points, splines through or near random via points.

The curve's parameter is the eased time, as in mouse libraries; the speed follows from both.

References: A Practical Guide to Splines (de Boor, 1978) for the uniform cubic B-spline; A class of local interpolating
splines (Catmull & Rom, 1974).
"""

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.data.canonical import Canonical
from trainables.detector.bots.bot import Bot, Following
from trainables.detector.bots.easing import EASINGS, eased
from trainables.detector.bots.ranges import either_sign, uniform, whole

SWAY = (0.04, 0.40)  # of a control point off the chord, over the distance: from a slight bow to a detour of a fifth
SWAY_LIMIT_PX = 200.0  # no further off on long ways, as mouse libraries limit it
VIA_SWAY = (0.01, 0.08)  # standard deviation of via points off the chord, over the distance

CATMULL_ROM = torch.tensor([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]], dtype=torch.float64) / 2
B_SPLINE = torch.tensor([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]], dtype=torch.float64) / 6


@dataclass(frozen=True)
class Bezier:
    """Bezier curve whose inner control points are ordered along the chord, each off to either side of it."""

    degree: int

    def __post_init__(self) -> None:
        require(self.degree >= 2, "`degree >= 2`", str(self.degree))

    def __call__(
        self, like: Canonical, progress: Float[Tensor, "N P"], random: torch.Generator
    ) -> Float[Tensor, "N P 2"]:
        points = torch.zeros(len(like), self.degree + 1, 2, dtype=torch.float64)
        points[:, -1, 0] = 1.0
        for k in range(1, self.degree):
            inner = (k - 0.5) / (self.degree - 1), 0.5 / (self.degree - 1)  # middle and half width of its slot
            points[:, k, :1] = uniform((inner[0] - 0.8 * inner[1], inner[0] + 0.8 * inner[1]), len(like), random)
            sway = either_sign(len(like), random) * uniform(SWAY, len(like), random)
            points[:, k, 1:] = limited(sway, like)
        return bezier(points, eased(progress, tuple(EASINGS), random))


@dataclass(frozen=True, eq=False)
class ThroughVias:
    """Uniform cubic spline from the start by a few via points to the target.

    Attributes:
        basis: Row p holds the weights of four neighbouring points at the p-th power of the local parameter.
        most: Largest number of via points; the smallest is one.
    """

    basis: Float[Tensor, "4 4"]
    most: int

    def __call__(
        self, like: Canonical, progress: Float[Tensor, "N P"], random: torch.Generator
    ) -> Float[Tensor, "N P 2"]:
        count = whole(1, self.most, len(like), random)
        vias, way = self._vias(like, count, random), eased(progress, tuple(EASINGS), random)
        return uniform_cubic(self.basis, between_ends(vias, count), count + 1, way)

    def _vias(self, like: Canonical, count: Int[Tensor, "N 1"], random: torch.Generator) -> Float[Tensor, "N V 2"]:
        """Draw via points in order along the chord; after the last one of a row comes the target."""
        number = torch.arange(1, self.most + 1)
        apart = 0.6 * torch.rand(len(like), self.most, generator=random, dtype=torch.float64) - 0.3
        off = torch.randn(len(like), self.most, generator=random, dtype=torch.float64)
        along = torch.where(number <= count, (number + apart) / (count + 1), 1.0)
        sway = limited(off * uniform(VIA_SWAY, len(like), random), like)
        return torch.stack([along, torch.where(number <= count, sway, 0.0)], dim=-1)


def between_ends(vias: Float[Tensor, "N V 2"], count: Int[Tensor, "N 1"]) -> Float[Tensor, "N K 2"]:
    """Return control points from (0, 0) to (1, 0): both ends, and beyond each the mirror image of its neighbour.

    The first `count` via points of a row are used, after them comes the target. With the images a uniform cubic
    B-spline starts and ends on the ends, and both kinds of splines head for the neighbour there.
    """
    target = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(len(vias), 2, 2)
    points = torch.cat([-vias[:, :1], torch.zeros_like(vias[:, :1]), vias, target], dim=1)
    row, last = torch.arange(len(vias)), count[:, 0]
    points[row, last + 3] = 2.0 * target[:, 0] - vias[row, last - 1]
    return points


def limited(sway: Float[Tensor, "N K"], like: Canonical) -> Float[Tensor, "N K"]:
    """Limit distances from the chord, in units of its length, to `SWAY_LIMIT_PX`."""
    limit = SWAY_LIMIT_PX / like.distance_px[:, None]
    return torch.minimum(torch.maximum(sway, -limit), limit)


def bezier(points: Float[Tensor, "N K 2"], t: Float[Tensor, "N P"]) -> Float[Tensor, "N P 2"]:
    """Return the Bezier curve of K control points at the parameters `t`, by de Casteljau's repeated interpolation."""
    level = [point[:, None] for point in points.unbind(dim=1)]
    while len(level) > 1:
        level = [a + t[..., None] * (b - a) for a, b in itertools.pairwise(level)]
    return level[0]


def uniform_cubic(
    basis: Float[Tensor, "4 4"], points: Float[Tensor, "N K 2"], segments: Int[Tensor, "N 1"], t: Float[Tensor, "N P"]
) -> Float[Tensor, "N P 2"]:
    """Return a uniform cubic spline: segment i blends points i to i + 3; `t` in [0, 1] runs over a row's segments."""
    at = t * segments
    segment = torch.minimum(at.floor().long(), segments - 1)
    local = at - segment
    weights = torch.stack([local**power for power in range(4)], dim=-1) @ basis
    blended = torch.zeros(*t.shape, 2, dtype=torch.float64)
    for k in range(4):
        blended = blended + weights[..., k : k + 1] * points.gather(1, (segment + k)[..., None].expand(-1, -1, 2))
    return blended


SPLINE: dict[str, Bot] = {
    "bezier_quadratic": Bot("spline", Following(Bezier(2))),
    "bezier_cubic": Bot("spline", Following(Bezier(3))),
    "catmull_rom": Bot("spline", Following(ThroughVias(CATMULL_ROM, 4))),
    "b_spline": Bot("spline", Following(ThroughVias(B_SPLINE, 5))),
}
