"""Tensors that are derived from movements row by row: of a large split once for all processes of the machine."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from trainables.core.config import digest
from trainables.data.canonical import Canonical
from trainables.data.config import PART
from trainables.data.splits.store import Writer, prepared_set
from trainables.training.manifest import CODE, code_sha256

VALUES = "values"
STORED = WeakKeyDictionary[Canonical, str]()
"""Movements that are mapped from the store -> what identifies them; no copy and no part of them is among these."""

Compute = Callable[[Canonical], Tensor]
"""Movements -> a row of the derived tensor for each; no row depends on another."""


def derived(movements: Canonical, name: str, compute: Compute) -> Tensor:
    """Return a derived tensor of movements: of more than `PART` mapped ones it is mapped from the store as well.

    Args:
        name: What identifies `compute` within one version of the code.
    """
    if len(movements) <= PART:
        return compute(movements)
    if movements not in STORED:
        return torch.cat([compute(part) for part in parts_of(movements)])
    key = digest({"of": STORED[movements], "name": name, "code": code_sha256(CODE)})
    return prepared_set(key, partial(_write, movements, name, compute)).tensor(VALUES)


def parts_of(movements: Canonical) -> Iterator[Canonical]:
    """Yield the movements in parts of at most `PART`."""
    for rows in torch.arange(len(movements)).split(PART):
        yield movements.take(rows)


def _write(movements: Canonical, name: str, compute: Compute, writer: Writer) -> Mapping[str, Any]:
    like, done = compute(movements.take(torch.arange(1))).numpy(), 0
    values = writer.array(VALUES, (len(movements), *like.shape[1:]), like.dtype)
    for part in parts_of(movements):
        values[done : done + len(part)] = compute(part).numpy()
        done += len(part)
    parent, _, split = STORED[movements].partition("/")
    return {"parent": parent, "split": split, "name": name, "code": code_sha256(CODE)}
