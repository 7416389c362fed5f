"""Episodes as rows: one state and one action per tick of 1 / RATE_HZ seconds, one episode after another.

    state   x, y in px from the start of the movement; velocity in px/s over the step before, 0 at the start
    action  the next step in px; of the last state 0, since none was taken

A movement of S steps has S + 1 rows. Positions are whole pixels, as the observation model leaves them. The velocity of
a state is known when the state is: it is no central difference, which would show the next step.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.data.canonical import Canonical, Movements, decode
from trainables.data.config import RATE_HZ, CanonicalConfig
from trainables.data.representation import prefix_mask

STATE, ACTION, POSITION = 4, 2, 2  # columns; the first ones of a state are its position
DECODED = 4096  # movements that are decoded together


class Episodes(NamedTuple):
    """Rows of E episodes, one episode after another.

    Attributes:
        state: Position and velocity.
        action: Next step.
        length: Rows of each episode; they sum to R.
    """

    state: Float[Tensor, "R 4"]
    action: Float[Tensor, "R 2"]
    length: Int[Tensor, "E"]

    def checked(self) -> "Episodes":
        """Return the same episodes.

        Raises:
            ConfigError: A state or an action is NaN or infinite, or an episode has no row.
        """
        for name, rows in (("states", self.state), ("actions", self.action)):
            broken = (~rows.isfinite()).any(dim=1)
            at = f"row {int(broken.nonzero()[0])}" if bool(broken.any()) else ""
            require(not at, f"finite {name}", f"NaN or infinity in {int(broken.sum())} rows, first in {at}")
        require(bool((self.length > 0).all()), "at least one row in each episode", f"{self.length.tolist()}")
        total = int(self.length.sum())
        require(total == len(self.state) == len(self.action), "the lengths to sum to the rows", f"{total}")
        return self


def episodes_of(movements: Movements) -> Episodes:
    """Return the episodes of observed movements, one of S + 1 rows for each movement of S steps."""
    steps = movements.steps_px.float()
    nothing = torch.zeros_like(steps[:, :1])
    before, after = torch.cat([nothing, steps], dim=1), torch.cat([steps, nothing], dim=1)
    state = torch.cat([before.cumsum(dim=1), before * RATE_HZ], dim=2)
    rows = prefix_mask(movements.length + 1, state.shape[1])
    last = prefix_mask(movements.length, state.shape[1])
    return Episodes(state[rows], (after * last[..., None])[rows], movements.length + 1)


def episodes_of_split(canonical: Canonical, config: CanonicalConfig) -> Episodes:
    """Return the episodes of the movements of a split, decoded to whole pixels at 60 Hz."""
    parts = [episodes_of(decode(canonical.take(rows), config)) for rows in torch.arange(len(canonical)).split(DECODED)]
    return Episodes(*(torch.cat(part) for part in zip(*parts, strict=True)))


def episodes_of_windows(
    state: Float[Tensor, "W T 4"], action: Float[Tensor, "W T 2"], ends: Bool[Tensor, "W T"]
) -> Episodes:
    """Return the episodes in windows of T rows, such as those that copies of an environment leave.

    An episode ends at a row of `ends`, and at the end of its window, so that no goal is taken from the next episode.
    """
    last = ends.clone()
    last[:, -1] = True
    at = last.flatten().nonzero().squeeze(1)
    return Episodes(state.flatten(0, 1), action.flatten(0, 1), at.diff(prepend=at.new_tensor([-1])))
