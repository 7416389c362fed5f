"""Memorisation: distance of samples to the training movements, compared with that of held-out users.

For every sample the distance to its nearest training movement, and the same for held-out users (real to real), who
cannot be copies. A generator that generalises has the distances of held-out users; one that memorises has smaller ones:

    ratio = median_i d(sample_i) / median_j d(held-out_j)              about 1, and 0 for copies
    share = share of d(sample_i) within the 1 % quantile of d(held-out_j)    about 0.01, and 1 for copies

Samples near the centre of the distribution have smaller distances as well, but not as small: perfect minimum-jerk
profiles, which use no training movement, have 0.8 and 0.01. Copies among other samples raise the share first.

Movements are compared as paths: the positions at `POINTS` equal moments of the duration, in the canonical frame, where
a copy is the same at any place, direction, size and duration. A mirror image, which augmentation makes, is a copy too:
a distance is to the nearer of a training movement and its mirror image. The Euclidean distance of two paths, divided by
sqrt(POINTS), is a root mean square in distances from start to goal. Kinematic features would be a worse space: rounding
to pixels shifts a path by half a pixel, but changes headings and still steps. Measured on copies of default recordings
disturbed by 0.35 px per step: ratio 0.05 and share 1.00 on paths, 0.76 and 0.38 on the standardised features.

References: Nearest neighbours of samples in the training set, against those of held-out data, after A Non-Parametric
Test to Detect Data-Copying in Generative Models (Meehan et al., 2020), section 2, arXiv:2004.05675.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.data.representation import interpolate

POINTS = 15  # moments strictly between start and end, which all movements share
QUANTILE = 0.01  # of the reference distances
BLOCK = 1024  # samples whose distances are in memory at a time
EXACT = 32_768  # others whose exact distances are computed
COLUMNS = 4096  # of these whose rough distances are in the cache at a time
GROUP = 64  # of these whose minimum is found first
CANDIDATES = 8  # of more others; rounding changes the order of the very nearest alone


@dataclass(frozen=True)
class Memorisation:
    """Distances of samples to the training movements, compared with those of held-out users."""

    ratio: float  # of the median distances
    share: float  # share of samples within the `QUANTILE` of the reference
    median: float  # distance of a sample, root mean square in distances from start to goal


@dataclass(frozen=True, eq=False)
class TrainingPaths:
    """Training movements and the reference distances; made by `fit`, called with samples.

    Attributes:
        paths: Paths of the training movements by `movement_paths`.
        reference: Distance of each held-out movement to the nearest of them.

    Raises:
        ValueError: Half of the held-out movements are in the training split: that is no reference.
    """

    paths: Float[Tensor, "M P"]
    reference: Float[Tensor, "R"]

    @classmethod
    def fit(
        cls,
        deltas: Float[Tensor, "M T 2"],
        mask: Bool[Tensor, "M T"],
        held_out_deltas: Float[Tensor, "R S 2"],
        held_out_mask: Bool[Tensor, "R S"],
    ) -> "TrainingPaths":
        """Compute the paths of the training movements and the distances of the held-out ones.

        Raises ValueError as the class does.
        """
        return cls.of(movement_paths(deltas, mask), held_out_deltas, held_out_mask)

    @classmethod
    def of(
        cls, paths: Float[Tensor, "M P"], held_out_deltas: Float[Tensor, "R S 2"], held_out_mask: Bool[Tensor, "R S"]
    ) -> "TrainingPaths":
        """As `fit`, from the paths of the training movements."""
        return cls(paths, nearest_to_any(movement_paths(held_out_deltas, held_out_mask), paths))

    def __post_init__(self) -> None:
        if not self.reference.median() > 0:
            law = "`median distance of held-out movements to the training split > 0`"
            got = f"{self.reference.median().item()}"
            raise ValueError(f"expected {law}, but got {got}; remove the movements that are in both splits")

    def beside(self, rows: Int[Tensor, "M"]) -> "TrainingPaths":
        """Return the same training movements with chosen held-out ones as the reference."""
        return TrainingPaths(self.paths, self.reference[rows])

    def __call__(self, deltas: Float[Tensor, "N T 2"], mask: Bool[Tensor, "N T"]) -> Memorisation:
        """Return ratio and share as defined at the top of this file."""
        distance = self.distance(deltas, mask)
        median = distance.median().item()
        ratio = median / self.reference.median().item()
        return Memorisation(ratio, (distance <= self.near).double().mean().item(), median)

    def distance(self, deltas: Float[Tensor, "N T 2"], mask: Bool[Tensor, "N T"]) -> Float[Tensor, "N"]:
        """Return the distance of each sample to its nearest training movement."""
        return nearest_to_any(movement_paths(deltas, mask), self.paths)

    def copies(self, samples: Float[Tensor, "N P"], others: Float[Tensor, "K P"]) -> Bool[Tensor, "N"]:
        """Return which paths lie as near to one of the others, or its mirror image, as copies do."""
        return nearest_to_any(samples, others) <= self.near

    @property
    def near(self) -> float:
        """Quantile `QUANTILE` of the reference distances."""
        return self.reference.quantile(QUANTILE).item()


def movement_paths(deltas: Float[Tensor, "N T 2"], mask: Bool[Tensor, "N T"]) -> Float[Tensor, "N P"]:
    """Return x and y at `POINTS` equal moments between start and end, over sqrt(POINTS); P = 2 POINTS.

    Positions are linear between steps.

    Raises ValueError for a movement without valid steps and for a position that is not finite.
    """
    steps = mask.sum(dim=1)
    moved = torch.where(mask.unsqueeze(2), deltas.to(torch.float64), 0.0).cumsum(dim=1)
    if not (steps > 0).all() or not moved.isfinite().all():
        got = f"{int((steps == 0).sum())} without any and {int((~moved.isfinite()).any(dim=(1, 2)).sum())} not finite"
        raise ValueError(f"expected movements with finite valid steps, but got {got}; leave them out")
    positions = torch.cat([torch.zeros_like(moved[:, :1]), moved], dim=1)
    moments = torch.arange(1, POINTS + 1, dtype=torch.float64, device=deltas.device) / (POINTS + 1)
    return interpolate(positions, steps[:, None] * moments).flatten(1) / math.sqrt(POINTS)


def nearest_to_any(samples: Float[Tensor, "N P"], others: Float[Tensor, "M P"]) -> Float[Tensor, "N"]:
    """Return the distance of each path to the nearest of the others and of their mirror images at the chord."""
    mirrored = samples * torch.tensor([1.0, -1.0]).repeat(POINTS)
    return torch.minimum(nearest_distance(samples, others), nearest_distance(mirrored, others))


def nearest_distance(samples: Float[Tensor, "N P"], others: Float[Tensor, "M P"]) -> Float[Tensor, "N"]:
    """Return the Euclidean distance of each row to the nearest of the others; exact, so that a copy has 0.

    Among more than `EXACT` others it is the exact distance to one of the `CANDIDATES` that are nearest in products of
    float32, whose error is that of rounding.
    """
    return torch.cat([_nearest(rows, others) for rows in samples.split(BLOCK)])


def _nearest(samples: Float[Tensor, "N P"], others: Float[Tensor, "M P"]) -> Float[Tensor, "N"]:
    if len(others) <= EXACT:
        return torch.cdist(samples, others, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
    rough, found = torch.empty(len(samples), 0), torch.empty(len(samples), 0, dtype=torch.int64)
    rows, products = samples.float(), torch.empty(len(samples), COLUMNS)
    for number, part in enumerate(others.split(COLUMNS)):
        block = part.float()
        out = products[:, : len(block)]
        torch.addmm(block.square().sum(dim=1), rows, block.T, alpha=-2, out=out)  # squares less that of the sample
        near, at = _smallest(out, min(CANDIDATES, len(block)))
        rough, found = torch.cat([rough, near], dim=1), torch.cat([found, at + number * COLUMNS], dim=1)
        rough, kept = rough.topk(min(CANDIDATES, rough.shape[1]), largest=False)
        found = found.gather(1, kept)
    exact: Tensor = torch.linalg.vector_norm(samples[:, None] - others[found], dim=-1).amin(dim=1)
    return exact


def _smallest(values: Float[Tensor, "N M"], count: int) -> tuple[Float[Tensor, "N K"], Int[Tensor, "N K"]]:
    """Return the `count` smallest values of each row and their columns, as `topk`, which searches all columns, does.

    They lie in the `count` groups of columns with the smallest minima, and a minimum is found several times faster.
    """
    groups = values.shape[1] // GROUP
    if groups < count or values.shape[1] % GROUP:
        near, at = values.topk(count, largest=False)
        return near, at
    members = values.unflatten(1, (GROUP, groups))  # a group is every so many columns
    chosen = members.amin(dim=1).topk(count, largest=False).indices
    near, at = members.gather(2, chosen[:, None].expand(-1, GROUP, -1)).flatten(1).topk(count, largest=False)
    return near, at // count * groups + chosen.gather(1, at % count)
