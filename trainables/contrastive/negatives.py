"""Negatives of the ranking loss: conditions of other rows of the batch, or of those and a queue of past ones.

A row is never its own negative, and one whose condition equals the row's, or nearly so, is marked invalid: two equal
conditions predict the same, so that with them a smooth ranking loss would have the floor log 2. Batches of movements
of like length hold like conditions; a queue reaches beyond them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.core.config import require

NEAR = 0.1  # conditions closer than this (RMS over columns, in standard deviations) count as equal


class NegativePool(NamedTuple):
    """Rows of (batch, then queue) whose conditions are negatives, and which of them differ enough to be one."""

    rows: Int[Tensor, "B K"]
    valid: Bool[Tensor, "B K"]


@dataclass(frozen=True, eq=False)
class ConditionQueue:
    """The last `capacity` conditions, oldest first. It begins every epoch empty, so that a resumed run has the same.

    >>> queue = ConditionQueue.empty(3, 1).push(torch.tensor([[1.0], [2.0]])).push(torch.tensor([[3.0], [4.0]]))
    >>> queue.rows.flatten().tolist()
    [2.0, 3.0, 4.0]
    """

    capacity: int
    rows: Float[Tensor, "Q D"]

    @classmethod
    def empty(cls, capacity: int, width: int) -> "ConditionQueue":
        """No condition yet; one of capacity 0 stays empty."""
        return cls(capacity, torch.empty(0, width))

    def push(self, condition: Float[Tensor, "B D"]) -> "ConditionQueue":
        """First in, first out: the batch enters in its order, and as many of the oldest leave as are too many."""
        rows = torch.cat([self.rows.to(condition), condition.detach()])
        return ConditionQueue(self.capacity, rows[max(len(rows) - self.capacity, 0) :])


def derangements(condition: Float[Tensor, "B D"], k: int, random: torch.Generator, near: float = NEAR) -> NegativePool:
    """K distinct other rows of the batch for every row.

    A random cyclic order is shifted by K distinct random offsets: each shift is a derangement, in which every row is
    a negative once.

    Raises:
        ConfigError: fewer than K + 1 rows.
    """
    count = _others(condition, k) + 1
    order = torch.randperm(count, generator=random)
    offsets = torch.randperm(count - 1, generator=random)[:k] + 1
    rows = order[(order.argsort()[:, None] + offsets) % count].to(condition.device)
    return NegativePool(rows, differ(condition, condition[rows], near))


def recalled(
    condition: Float[Tensor, "B D"], past: Float[Tensor, "Q D"], k: int, random: torch.Generator, near: float = NEAR
) -> NegativePool:
    """K distinct others for every row, out of the batch and the queue alike: Q + B - 1 that are equally likely.

    The batch is in random order, so that one set of K offsets serves all rows.

    Raises:
        ConfigError: fewer than K + 1 rows in the batch; the first batch of an epoch finds the queue empty.
    """
    _others(condition, k)
    pool = torch.cat([condition, past.to(condition)])
    offsets = torch.randperm(len(pool) - 1, generator=random)[:k] + 1
    rows = (torch.arange(len(condition))[:, None] + offsets).to(condition.device) % len(pool)
    return NegativePool(rows, differ(condition, pool[rows], near))


def differ(condition: Float[Tensor, "B D"], other: Float[Tensor, "B K D"], near: float = NEAR) -> Bool[Tensor, "B K"]:
    """Whether conditions lie further apart than `near`: sqrt(mean over columns of the squared difference) > near.

    Columns that are the same in the whole batch, as those of an unknown target width, carry no information and do not
    count.
    """
    varying = (condition != condition[:1]).any(dim=0).sum().clamp(min=1)
    return ((other - condition[:, None]).square().sum(dim=-1) / varying).sqrt() > near


def _others(condition: Float[Tensor, "B D"], k: int) -> int:
    count = len(condition)
    require(1 <= k < count, "`1 <= negatives < batch_size`", f"negatives={k}, batch_size={count}")
    return count - 1


def _from_batch(
    condition: Float[Tensor, "B D"], past: Float[Tensor, "Q D"], k: int, random: torch.Generator
) -> NegativePool:
    return derangements(condition, k, random)


Source = Callable[[Tensor, Tensor, int, torch.Generator], NegativePool]
SOURCES: dict[str, Source] = {"batch": _from_batch, "queue": recalled}
