"""Rounding of a path to whole pixels with play: a coordinate rests until the path is clearly off it.

A coordinate moves to the nearest pixel once the path is more than `play` pixels from where it rests. With a play of one
half that is plain rounding. Recorded pointers move along one axis of the screen at a time more often than a smooth path
that is rounded: devices report no motion below a count, and filters hold the smaller coordinate back. The play of a set
of movements is the one at which rounded fits have the share of such steps that the movements have.
"""

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor

Floats = npt.NDArray[np.float64]
PLAYS = tuple(0.5 + 0.05 * number for number in range(11))  # from plain rounding to a whole pixel


def rounded(path: Float[Tensor, "M T 2"], play: float) -> Float[Tensor, "M T 2"]:
    """Return whole-pixel positions; the first and the last position are rounded as they are.

    The last one is that of column T - 1.
    """
    given: Floats = np.ascontiguousarray(path.transpose(0, 1).numpy())
    nearest = np.floor(given + 0.5)
    found, rest = nearest.copy(), nearest[0]
    for tick in range(1, len(given) - 1):
        rest = np.where(np.abs(given[tick] - rest) > play, nearest[tick], rest)
        found[tick] = rest
    return torch.from_numpy(found).transpose(0, 1)


def axis_share(steps: Float[Tensor, "N S 2"]) -> Float[Tensor, ""]:
    """Return the share of the moving steps that are along an axis of the screen, the mean over movements."""
    still = steps == 0
    moving = ~still.all(dim=-1)
    along_axis = moving & still.any(dim=-1)
    return (along_axis.sum(dim=1) / moving.sum(dim=1).clamp(min=1)).double().mean()


def fitted_play(paths: Float[Tensor, "N T 2"], recorded: Float[Tensor, "N T 2"], valid: Bool[Tensor, "N S"]) -> float:
    """Return the play at which rounded paths have the axis share of the recorded ones, of `PLAYS` the nearest.

    Args:
        paths, recorded: Positions on the screen.
        valid: The steps that each movement has.
    """
    wanted = axis_share(recorded.diff(dim=1) * valid[..., None])
    shares = {play: axis_share(rounded(paths, play).diff(dim=1) * valid[..., None]) for play in PLAYS}
    return min(shares, key=lambda play: float((shares[play] - wanted).abs()))
