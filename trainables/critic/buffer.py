"""A ring of transitions in contiguous arrays of a fixed size, in memory or mapped from files.

    state, action   float32, a row per tick (`trainables.critic.episodes`)
    trajectory      number of the episode that a row belongs to, counted over all that were ever added
    remaining       later rows of the same episode; 0 at its last row, which has no goal, and where a row is void
    counters        row that is written next, episodes that were added

Episodes are written whole, one after another, round and round. Where a new one takes rows of an old one, the rest of
the old one is void: no half of an episode can be sampled. A goal lies at most `remaining` rows ahead, so none crosses
the end of an episode, whatever stands beside it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.config import require, violation
from trainables.critic.episodes import ACTION, POSITION, STATE, Episodes
from trainables.critic.goals import steps_ahead

ARRAYS: dict[str, tuple[type[np.generic], int]] = {
    "state": (np.float32, STATE),
    "action": (np.float32, ACTION),
    "trajectory": (np.int64, 0),
    "remaining": (np.int32, 0),
}
"""Name of an array -> type of its numbers, and columns; 0: a vector."""
NEXT, ADDED = 0, 1  # of the counters


class Transitions(NamedTuple):
    """Sampled transitions, each with a goal that was reached later in its own trajectory.

    Attributes:
        goal: Position of the later state, with its velocity where that was asked for.
        trajectory: Number of the episode.
        row: Row of the transition in the buffer.
        ahead: Rows from the transition to its goal.
    """

    state: Float[Tensor, "B 4"]
    action: Float[Tensor, "B 2"]
    goal: Float[Tensor, "B G"]
    trajectory: Int[Tensor, "B"]
    row: Int[Tensor, "B"]
    ahead: Int[Tensor, "B"]


class Found(NamedTuple):
    """Rows of the transitions that can be sampled, ascending, and the number of their trajectories."""

    rows: Int[Tensor, "V"]
    trajectories: int


@dataclass(eq=False)
class Buffer:
    """Rows of episodes in a ring; made by `in_memory` or `mapped`."""

    state: Float[Tensor, "N 4"]
    action: Float[Tensor, "N 2"]
    trajectory: Int[Tensor, "N"]
    remaining: Int[Tensor, "N"]
    counters: Int[Tensor, "2"]
    _found: "Found | None" = field(default=None, init=False, repr=False)

    @classmethod
    def in_memory(cls, capacity: int) -> "Buffer":
        """Return an empty buffer of so many rows.

        Raises:
            ConfigError: A capacity under 2, which holds no transition with its goal.
        """
        _require_capacity(capacity)
        arrays = {name: np.zeros(_shape(capacity, width), kind) for name, (kind, width) in ARRAYS.items()}
        return cls(**_tensors(arrays), counters=torch.zeros(2, dtype=torch.int64))

    @classmethod
    def mapped(cls, folder: Path, capacity: int) -> "Buffer":
        """Return the buffer whose arrays are files of a folder, with what it holds; new files make an empty one.

        Raises:
            ConfigError: The files are of another capacity, or cannot be mapped.
        """
        _require_capacity(capacity)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {
            name: _mapped(folder / f"{name}.npy", kind, _shape(capacity, width))
            for name, (kind, width) in ARRAYS.items()
        }
        arrays["counters"] = _mapped(folder / "counters.npy", np.int64, (2,))
        return cls(**_tensors(arrays))

    @property
    def capacity(self) -> int:
        """Rows that it has room for."""
        return len(self.state)

    @property
    def found(self) -> "Found":
        """What can be sampled, computed once after each change."""
        if self._found is None:
            # each trajectory with a transition has one whose next row is its last
            trajectories = int((self.remaining == 1).sum())
            self._found = Found(self.remaining.nonzero().squeeze(1), trajectories)
        return self._found

    def add(self, episodes: Episodes) -> None:
        """Write episodes; of more rows than the buffer has, the last episodes that it has room for.

        Raises:
            ConfigError: An episode is longer than the buffer, or holds NaN or infinity.
        """
        state, action, length = episodes.checked()
        longest = int(length.max()) if len(length) else 0
        require(longest <= self.capacity, "`rows of an episode <= capacity`", f"{longest} rows, {self.capacity}")
        behind = length.flip(0).cumsum(0).flip(0)  # rows of an episode and of all later ones
        left_out = int((behind > self.capacity).sum())
        first = int(length[:left_out].sum())
        kept, number = length[left_out:], int(self.counters[ADDED]) + left_out
        rows = (int(self.counters[NEXT]) + torch.arange(len(state) - first)) % self.capacity
        self._make_void(len(rows))
        place = torch.arange(len(rows)) - (kept.cumsum(0) - kept).repeat_interleave(kept)
        self.state[rows], self.action[rows] = state[first:].float(), action[first:].float()
        self.trajectory[rows] = (number + torch.arange(len(kept))).repeat_interleave(kept)
        self.remaining[rows] = (kept.repeat_interleave(kept) - 1 - place).to(self.remaining.dtype)
        self.counters[NEXT] = (int(self.counters[NEXT]) + len(rows)) % self.capacity
        self.counters[ADDED] += len(length)
        self._found = None

    def _make_void(self, count: int) -> None:
        """Make the rows void whose episode loses one to the `count` rows that are written next."""
        if not count:
            return
        last = (int(self.counters[NEXT]) + count - 1) % self.capacity
        rest = int(self.remaining[last])
        self.remaining[(last + 1 + torch.arange(rest)) % self.capacity] = 0

    def require_batch(self, batch: int) -> None:
        """Raise ConfigError unless there is a transition, and as many trajectories as a batch has rows."""
        rows, found = self.found
        require(len(rows) > 0, "a trajectory of two states or more", "trajectories of one state", "record longer ones")
        law, got = "`batch_size <= trajectories`", f"batch_size={batch}, trajectories={found}"
        require(batch <= found, law, got, "lower batch_size, or give more recordings or an agent more copies")

    def sample(self, batch: int, gamma: float, random: torch.Generator, *, goal_velocity: bool = False) -> Transitions:
        """Return transitions drawn uniformly over all that have a later state, each with a goal (`steps_ahead`).

        Raises:
            ConfigError: No transition has a later state, or there are fewer trajectories than rows of the batch.
        """
        self.require_batch(batch)
        rows, _ = self.found
        row = rows[torch.randint(len(rows), (batch,), generator=random)]
        u = torch.rand(batch, dtype=torch.float64, generator=random)
        ahead = steps_ahead(u, self.remaining[row], gamma)
        goal = self.state[(row + ahead) % self.capacity]
        goal = goal if goal_velocity else goal[:, :POSITION]
        return Transitions(self.state[row], self.action[row], goal, self.trajectory[row], row, ahead)


def filled(episodes: Episodes) -> Buffer:
    """Return a buffer that holds these episodes and has room for no more."""
    buffer = Buffer.in_memory(max(len(episodes.state), 2))
    buffer.add(episodes)
    return buffer


def _require_capacity(capacity: int) -> None:
    require(capacity >= 2, "`capacity >= 2`", f"capacity={capacity}")


def _shape(capacity: int, width: int) -> tuple[int, ...]:
    return (capacity, width) if width else (capacity,)


def _mapped(file: Path, kind: type[np.generic], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if not file.exists():
        return np.lib.format.open_memmap(file, "w+", kind, shape)
    try:
        array = np.lib.format.open_memmap(file, "r+")
    except (OSError, ValueError) as error:
        raise violation("an array of a buffer", f"{file} ({error})", "choose an empty folder") from None
    require(array.shape == shape, f"an array {list(shape)}", f"{list(array.shape)} in {file}", "keep its capacity")
    return array


def _tensors(arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
