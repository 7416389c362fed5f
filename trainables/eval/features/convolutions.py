"""Random convolutions of the raw steps of movements: features that see pixels, ticks and their order.

Kinematic features are blind to rotation and smooth over the pixel grid. Here the steps along and across the chord, in
pixels and companded (`trainables.data.companding`, so that steps of 0 and 1 px lie apart), pass `KERNELS` random
kernels of several lengths and dilations. Of each response over the valid steps three numbers are kept: the share above
a threshold, the largest value and the mean. A linear probe on these is strong on raw sequences and takes a second.

Kernels are drawn once from a fixed seed; thresholds are quantiles of the responses of the movements that it is fitted
to, which should be real ones. Another seed gives other kernels of the same kind.

References: ROCKET: Exceptionally Fast and Accurate Time Series Classification Using Random Convolutional Kernels
(Dempster et al., 2020), section 3, arXiv:1910.13051; MiniRocket (Dempster et al., 2021), arXiv:2012.08791.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import conv1d

from trainables.core.seeding import generator
from trainables.data.canonical import Canonical
from trainables.data.companding import compand

UNIT_PX = 0.25  # scale of the companding
KERNELS = 240
LENGTHS, DILATIONS = (3, 5, 9), (1, 1, 2, 4)
SEED = 2012


@dataclass(frozen=True, eq=False)
class RandomConvolutions:
    """Random kernels with the thresholds of the movements that they were fitted to.

    Attributes:
        kernels: Weights [2, L] over both channels, and dilation, of each kernel.
        thresholds: One per kernel.
    """

    kernels: tuple[tuple[Float[Tensor, "2 _"], int], ...]
    thresholds: Float[Tensor, "K"]

    @classmethod
    def fit(cls, movements: Canonical, seed: int = SEED, count: int = KERNELS) -> "RandomConvolutions":
        """Draw the kernels, and thresholds among the responses of the movements."""
        kernels, levels = random_kernels(seed, count)
        steps, mask = _steps(movements), movements.mask
        thresholds = [
            np.quantile(_response(steps, *kernel)[mask].numpy(), level)
            for kernel, level in zip(kernels, levels.tolist(), strict=True)
        ]
        return cls(kernels, torch.tensor(thresholds, dtype=torch.float32))

    def __call__(self, movements: Canonical) -> Float[Tensor, "N F"]:
        """Return three features per kernel: share above the threshold, maximum and mean over the valid steps."""
        steps, mask = _steps(movements), movements.mask
        pooled = [
            _pooled(_response(steps, *kernel), mask, threshold)
            for kernel, threshold in zip(self.kernels, self.thresholds, strict=True)
        ]
        return torch.cat(pooled, dim=1).double()


def random_kernels(
    seed: int, count: int = KERNELS
) -> tuple[tuple[tuple[Float[Tensor, "2 _"], int], ...], Float[Tensor, "K"]]:
    """Return kernels with their dilations, and the quantile of its responses at which each has its threshold."""
    random = generator(seed, "random convolutions")
    kernels = tuple(_kernel(number, random) for number in range(count))
    return kernels, torch.rand(count, generator=random)


def _kernel(number: int, random: torch.Generator) -> tuple[Float[Tensor, "2 L"], int]:
    """Draw one kernel: normal weights, half of them centred, half of them on one channel alone."""
    weights = torch.randn(2, LENGTHS[number % len(LENGTHS)], generator=random)
    centred, alone, channel, dilation = torch.rand(4, generator=random).tolist()
    if centred < 0.5:
        weights = weights - weights.mean(dim=1, keepdim=True)
    if alone < 0.5:
        weights[int(2 * channel)] = 0.0
    return weights, DILATIONS[int(dilation * len(DILATIONS))]


def _steps(movements: Canonical) -> Float[Tensor, "N 2 T"]:
    """Return the companded steps, zero beyond the mask."""
    steps = compand(movements.steps_px()[..., :2].double(), UNIT_PX) * movements.mask[..., None]
    return steps.transpose(1, 2).float()


def _response(steps: Float[Tensor, "N 2 T"], weights: Float[Tensor, "2 L"], dilation: int) -> Float[Tensor, "N T"]:
    reach = weights.shape[1] // 2 * dilation
    return conv1d(steps, weights[None], dilation=dilation, padding=reach)[:, 0]


def _pooled(
    response: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"], threshold: Float[Tensor, ""]
) -> Float[Tensor, "N 3"]:
    steps = mask.sum(dim=1)
    above = ((response > threshold) & mask).sum(dim=1) / steps
    largest = response.masked_fill(~mask, -torch.inf).amax(dim=1)
    return torch.stack([above, largest, (response * mask).sum(dim=1) / steps], dim=1)
