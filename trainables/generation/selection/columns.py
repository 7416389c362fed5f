"""Columns of movements that the ratio is fitted to: the condition, and groups of features as the probes have them.

The condition comes first: duration, distance, path length, turning and width of the target as asked for
(`UNKNOWN_WIDTH` where it is unknown), and the angle between the requested direction and the nearest screen axis. A
movement is real or not under its condition, and the same movement may be likely under one and not under another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from trainables.data.canonical import Canonical
from trainables.data.config import CONDITION_NAMES
from trainables.eval.features.convolutions import RandomConvolutions, random_kernels
from trainables.eval.features.kinematic import FEATURES, movement_features
from trainables.eval.features.pixels import PIXEL_FEATURES, pixel_features

AXIS = "angle_to_axis"
CONDITION_COLUMNS = (*CONDITION_NAMES, AXIS)
UNKNOWN_WIDTH = -10.0  # log px: narrower than any target, so that one split of a tree parts known from unknown
# not those of the probe, whose kernels the selector never sees; a third of their number, at a third of the cost
KERNEL_SEED, KERNELS = 1961, 80
POOLED = ("above", "largest", "mean")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Columns:
    """The chosen groups, with what they were fitted to.

    Attributes:
        groups: Of `trainables.generation.selection.config.COLUMN_GROUPS`.
        convolutions: The convolutions with their thresholds; None where they are not chosen.
    """

    groups: tuple[str, ...]
    convolutions: RandomConvolutions | None = None

    @classmethod
    def fit(cls, real: Canonical, groups: Sequence[str]) -> "Columns":
        """Fit the thresholds of the convolutions, where they are chosen, to observed real movements."""
        chosen = "convolutions" in groups
        return cls(tuple(groups), RandomConvolutions.fit(real, KERNEL_SEED, KERNELS) if chosen else None)

    def __call__(self, observed: Canonical, raw: Float[Tensor, "N D"], angle: Float[Tensor, "N"]) -> Floats:
        """Return the columns [N, F] of movements in 60 Hz steps of whole pixels; float64.

        Args:
            raw: Conditions that were asked for, columns as in `CONDITION_NAMES`.
            angle: Directions that were asked for, radians.
        """
        parts = [raw.double().nan_to_num(nan=UNKNOWN_WIDTH), angle_to_axis(angle)[:, None]]
        for group in self.groups:
            if group == "features":
                parts.append(movement_features(observed.deltas[..., :2], observed.mask))
            elif group == "pixels":
                parts.append(pixel_features(observed))
            else:
                assert self.convolutions is not None, f"no thresholds of {group}"
                parts.append(self.convolutions(observed))
        table: Floats = torch.cat(parts, dim=1).numpy()
        return table

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        count = 0 if self.convolutions is None else len(self.convolutions.kernels)
        of_groups = {
            "features": FEATURES,
            "pixels": PIXEL_FEATURES,
            "convolutions": tuple(f"kernel_{kernel}_{pooled}" for kernel in range(count) for pooled in POOLED),
        }
        return (*CONDITION_COLUMNS, *(name for group in self.groups for name in of_groups[group]))

    def tensors(self) -> dict[str, Tensor]:
        """Return what was fitted; `of_tensors` inverts it. The kernels follow from their seed."""
        return {} if self.convolutions is None else {"thresholds": self.convolutions.thresholds}

    @classmethod
    def of_tensors(cls, groups: Sequence[str], tensors: Mapping[str, Tensor]) -> "Columns":
        """Return the columns of tensors; raises KeyError where thresholds are missing."""
        if "convolutions" not in groups:
            return cls(tuple(groups))
        kernels, levels = random_kernels(KERNEL_SEED, KERNELS)
        if tensors["thresholds"].shape != levels.shape:
            raise ValueError(f"expected {len(levels)} thresholds, but got {list(tensors['thresholds'].shape)}")
        return cls(tuple(groups), RandomConvolutions(kernels, tensors["thresholds"]))


def angle_to_axis(angle: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    """Return the angle to the nearest screen axis, in [0, pi / 4]; the pixel grid is the same in all four of them.

    >>> angle_to_axis(torch.tensor([0.0, 0.1, torch.pi / 2 - 0.1, torch.pi], dtype=torch.float64)).round(decimals=6)
    tensor([0.0000, 0.1000, 0.1000, 0.0000], dtype=torch.float64)
    """
    quarter = torch.pi / 2
    beyond = angle.double().remainder(quarter)
    return torch.minimum(beyond, quarter - beyond)
