"""Features of movements as they lie on the pixel grid of the screen, and their profiles over the duration.

Kinematic features are the same for a movement in any direction and smooth over the grid. A generator that never sees
the grid differs in what these columns count: steps exactly along a screen axis or a diagonal, steps of each size,
still runs, the first and last steps. Profiles say where along the chord, how far from it and how fast a movement is at
`MOMENTS` equal moments of its duration. All columns are unchanged by a mirror at the chord but for the first two.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.data.canonical import Canonical, rotate
from trainables.data.representation import interpolate

MOMENTS = 9  # strictly between start and end
SIZES_PX = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)  # upper bounds of the classes of step lengths; the last class has none
ENDS = 2  # steps at either end whose lengths are columns

PIXEL_FEATURES: tuple[str, ...] = (
    "axis_share",
    "diagonal_share",
    *(f"share_up_to_{size:g}_px" for size in SIZES_PX),
    "share_above_16_px",
    "longest_still_run",
    "still_runs",
    *(f"log_first_step_{number + 1}" for number in range(ENDS)),
    *(f"log_last_step_{number + 1}" for number in range(ENDS)),
    *(f"{profile}_{moment + 1}" for profile in ("along", "aside", "speed") for moment in range(MOMENTS)),
)


def pixel_features(movements: Canonical) -> Float[Tensor, "N F"]:
    """Return the columns `PIXEL_FEATURES` of movements in 60 Hz steps, float64.

    Raises ValueError for a movement of fewer steps than `2 ENDS`.
    """
    mask, steps = movements.mask, movements.mask.sum(dim=1)
    if bool((steps < 2 * ENDS).any()):
        raise ValueError(f"expected `valid steps >= {2 * ENDS}`, but got {int(steps.min())}; leave such movements out")
    screen = rotate(movements.steps_px()[..., :2].double(), movements.angle.double()).round() * mask[..., None]
    length = screen.norm(dim=-1)
    return torch.cat(
        [_grid(screen, length, mask), _still(length, mask), _ends(length, steps), _profiles(movements)], dim=1
    )


def _grid(screen: Float[Tensor, "N T 2"], length: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"]) -> Tensor:
    """Return shares of the moving steps along an axis and a diagonal, and of all steps in each class of lengths."""
    x, y = screen.abs().unbind(-1)
    moving = (length > 0) & mask
    classes = torch.bucketize(length, torch.tensor(SIZES_PX, dtype=torch.float64))
    sizes = [_share((classes == number) & mask, mask) for number in range(len(SIZES_PX) + 1)]
    return torch.stack(
        [_share(moving & ((x == 0) | (y == 0)), moving), _share(moving & (x == y), moving), *sizes], dim=1
    )


def _share(chosen: Bool[Tensor, "N T"], among: Bool[Tensor, "N T"]) -> Float[Tensor, "N"]:
    return chosen.sum(dim=1).double() / among.sum(dim=1).clamp(min=1)


def _still(length: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"]) -> Float[Tensor, "N 2"]:
    """Return the longest run of still steps and the number of runs, both over the number of steps."""
    still = (length == 0) & mask
    run, longest, runs = (torch.zeros(len(length), dtype=torch.float64) for _ in range(3))
    for step in still.T:
        runs += (run == 0) & step
        run = torch.where(step, run + 1, 0.0)
        longest = torch.maximum(longest, run)
    return torch.stack([longest, runs], dim=1) / mask.sum(dim=1, keepdim=True)


def _ends(length: Float[Tensor, "N T"], steps: Tensor) -> Float[Tensor, "N 4"]:
    """Return log(1 + length) of the first steps, and of the last ones from the end on."""
    places = [torch.full_like(steps, number) for number in range(ENDS)] + [steps - 1 - number for number in range(ENDS)]
    return torch.stack([length.gather(1, place[:, None])[:, 0].log1p() for place in places], dim=1)


def _profiles(movements: Canonical) -> Float[Tensor, "N P"]:
    """Return position along the chord, distance from it and speed at equal moments, in distances and mean speeds."""
    deltas = movements.deltas[..., :2].double() * movements.mask[..., None]
    steps = movements.mask.sum(dim=1)
    positions = torch.nn.functional.pad(deltas.cumsum(dim=1), (0, 0, 1, 0))
    moments = torch.from_numpy(np.arange(1, MOMENTS + 1) / (MOMENTS + 1))
    along, aside = interpolate(positions, steps[:, None] * moments).unbind(-1)
    nearest = (steps[:, None] * moments).long()  # the step that is under way
    speed = deltas.norm(dim=-1).gather(1, nearest) * steps[:, None]
    return torch.cat([along, aside.abs(), speed.log1p()], dim=1)
