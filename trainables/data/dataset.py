"""A split in batches."""

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from trainables.core.config import require
from trainables.data.canonical import Canonical
from trainables.data.config import CONDITION_WIDTH
from trainables.data.splits.statistics import Statistics, source_index

BUCKET = 8.0  # steps; the network's internal length is a multiple of it


class Sequences(NamedTuple):
    """Standardised sequences and the mask of their valid steps."""

    z: Float[Tensor, "B T C"]
    mask: Bool[Tensor, "B T"]


class Batch(NamedTuple):
    """Sequences and the conditions they were made under. There is no weight."""

    sequences: Sequences
    condition: Float[Tensor, "B D"]


class WeightedBatch(NamedTuple):
    """A batch with the weight of each row in the loss; None where rows have none, and count alike."""

    batch: Batch
    weight: Float[Tensor, "B"] | None


class SequenceDataset(Dataset[Batch]):
    """Sequences with their conditions in memory, standardised.

    Attributes:
        statistics: What they are standardised with.
        weight: Of each row in the loss, in the place of a count; None: rows have no weight.
    """

    weight: Tensor | None = None

    def __init__(self, canonical: Canonical, statistics: Statistics) -> None:
        self.statistics = statistics
        self.sequences = Sequences(statistics.normalise(canonical), canonical.mask)
        source, ends = source_index(canonical.source, statistics.sources), canonical.ends()
        self.condition = statistics.normalise_condition(canonical.condition(), source, canonical.angle, ends)

    def __len__(self) -> int:
        return len(self.condition)

    def __getitem__(self, rows: int | Int[Tensor, "B"]) -> Batch:
        return Batch(Sequences(self.sequences.z[rows], self.sequences.mask[rows]), self.condition[rows])

    def weighted(self, weight: Float[Tensor, "N"]) -> "SequenceDataset":
        """The same sequences under the same conditions, each with a weight."""
        other = copy(self)
        other.weight = weight
        return other

    def without_sources(self, rows: Bool[Tensor, "N"]) -> "SequenceDataset":
        """The same sequences under the same conditions, with the source of some rows unknown."""
        other = copy(self)
        other.condition = self.condition.clone()
        other.condition[rows, CONDITION_WIDTH : CONDITION_WIDTH + len(self.statistics.sources)] = 0.0
        return other


def batches(
    fresh: Callable[[torch.Generator], Iterable[SequenceDataset]], batch_size: int, order: torch.Generator
) -> Iterator[Batch]:
    """Batches without end, pass after pass; each pass calls `fresh` for its parts, which may be augmented anew."""
    return (batch for batch, _ in weighted_batches(fresh, batch_size, order))


def weighted_batches(
    fresh: Callable[[torch.Generator], Iterable[SequenceDataset]], batch_size: int, order: torch.Generator
) -> Iterator[WeightedBatch]:
    """The same batches with the weights of their rows."""
    while True:
        for part in fresh(order):
            yield from one_pass(part, batch_size, order)


def one_pass(dataset: SequenceDataset, batch_size: int, order: torch.Generator) -> Iterator[WeightedBatch]:
    """Every row once, in batches of like length; rows that fill no batch are left out by chance. All order is random.

    Rows are sorted by their length plus a random share of `BUCKET`, so that no batch is the same in two passes, and
    trimmed to the longest row: the padding, a third of the default data, is not computed.

    Raises:
        ConfigError: fewer movements than a batch.
    """
    for rows in like_lengths(dataset.sequences.mask.sum(dim=1), batch_size, order):
        yield WeightedBatch(trimmed(dataset[rows]), None if dataset.weight is None else dataset.weight[rows])


def like_lengths(length: Int[Tensor, "N"], batch_size: int, order: torch.Generator) -> Iterator[Int[Tensor, "B"]]:
    """The rows of the batches of one pass over movements of these lengths, see `one_pass`."""
    require(len(length) >= batch_size, "`batch_size <= training movements`", f"{batch_size} > {len(length)}")
    shuffled = torch.randperm(len(length), generator=order)
    kept = shuffled[: len(length) // batch_size * batch_size]
    chunks = kept[(length[kept] + BUCKET * torch.rand(len(kept), generator=order)).argsort()].split(batch_size)
    for number in torch.randperm(len(chunks), generator=order).tolist():
        chunk = chunks[number]
        yield chunk[torch.randperm(len(chunk), generator=order)]


def shared(batch: Batch, index: int, count: int, device: torch.device) -> Batch:
    """Rows index, index + count, ... of a batch, on a device."""
    rows, (z, mask) = slice(index, None, count), batch.sequences
    return Batch(Sequences(z[rows].to(device), mask[rows].to(device)), batch.condition[rows].to(device))


def trimmed(batch: Batch) -> Batch:
    """The same batch without the steps that are padding in every row; masks are prefixes."""
    (z, mask), condition = batch
    longest = int(mask.sum(dim=1).max())
    return Batch(Sequences(z[:, :longest], mask[:, :longest]), condition)
