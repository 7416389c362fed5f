"""Cut rows into network calls whose results do not depend on the company of a row."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional as F

CHUNK = 128  # rows per network call at most: larger ones leave the cache of a CPU core
WIDTH = 64  # classes of half the width cost small requests up to 30 % and spare large ones 5 %
ROWS = 8  # matrix kernels work on as many rows at once
WINDOW = 2 * CHUNK  # samples that are sorted by length, computed, and handed over together


class Block(NamedTuple):
    """Rows that share a network call.

    Attributes:
        rows: Their numbers, then that of the first one again and again up to a multiple of `ROWS`.
        real: How many of them are no filling.
        width: Steps of the call; more than T where that is no multiple of `WIDTH`.
    """

    rows: Int[Tensor, "R"]
    real: int
    width: int

    def mask_of(self, mask: Bool[Tensor, "N T"], padded: bool) -> Bool[Tensor, "R W"]:
        """The rows' masks at the call's width; where there is padding the filling has a single valid step."""
        cut = F.pad(mask, (0, max(self.width - mask.shape[1], 0)))[self.rows, : self.width]
        if padded:
            cut[self.real :, 1:] = False
        return cut


def blocks(mask: Bool[Tensor, "N T"], padded: bool) -> Iterator[Block]:
    """Every row once, with others of its width; at least one row of filling where there is padding."""
    width = _widths(mask) if padded else torch.full((len(mask),), mask.shape[1])
    for each in width.unique().tolist():
        for rows in (width == each).nonzero().squeeze(1).split(CHUNK - padded):
            wanted = -(-(len(rows) + padded) // ROWS) * ROWS
            yield Block(torch.cat([rows, rows[:1].expand(wanted - len(rows))]), len(rows), each)


def _widths(mask: Bool[Tensor, "N T"]) -> Int[Tensor, "N"]:
    """Return the first multiple of `WIDTH` that holds each row, whatever T: kernels differ by width on some CPUs."""
    return -(-mask.sum(dim=1) // WIDTH) * WIDTH
