"""Check and scale feature tables [N, F], of PyTorch or NumPy, for two-sample metrics.

A column with one value in all rows of both sides holds nothing and is left out, by name. One that is constant in the
real rows and not so in the fake ones (or constant at another value) separates them, and is named as degenerate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from trainables.eval.indices import Indices

CONSTANT = 1e-6  # a standard deviation below this share of 1 + |mean| is rounding; features are of order one

Array = npt.NDArray[np.float64]
Groups = Sequence[str] | Sequence[int]
RealRows = Float[Tensor, "N F"] | Float[Array, "N F"]
FakeRows = Float[Tensor, "M F"] | Float[Array, "M F"]


def as_table(samples: Tensor | Array, name: str, columns: Sequence[str] | None = None) -> Array:
    """Return the samples in float64. Raises ValueError naming row and column of the first non-finite value."""
    table: Array = np.asarray(samples.numpy(force=True) if isinstance(samples, Tensor) else samples, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 1:
        raise ValueError(f"expected `{name}` to be [N >= 2, F >= 1], but got {list(table.shape)}")
    if columns is not None and len(columns) != table.shape[1]:
        raise ValueError(
            f"expected `columns` to name each of the {table.shape[1]} columns, but got {len(columns)} names"
        )
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0].tolist()
        label = columns[column] if columns is not None else column
        got = f"{table[row, column]} in row {row}, column {label} ({len(bad)} such value(s))"
        raise ValueError(f"expected finite `{name}`, but got {got}; leave such rows out")
    return table


def as_pair(real: Tensor | Array, fake: Tensor | Array, columns: Sequence[str] | None = None) -> tuple[Array, Array]:
    """Return both samples in float64. Raises ValueError as `as_table` does, and if their columns differ in number."""
    tables = as_table(real, "real", columns), as_table(fake, "fake", columns)
    if real.shape[1] != fake.shape[1]:
        got = f"{real.shape[1]} and {fake.shape[1]} columns"
        raise ValueError(f"expected the same columns in `real` and `fake`, but got {got}; compute the same features")
    return tables


@dataclass(frozen=True, eq=False)
class Kept:
    """Which columns of tables are compared.

    Attributes:
        columns: Mask of them.
        left_out: Names (or indices) of the others: one value in all rows of all tables.
        degenerate: Names (or indices) of those of one value in the real rows, and of another in a row of the others.
    """

    columns: npt.NDArray[np.bool_]
    left_out: tuple[str | int, ...]
    degenerate: tuple[str | int, ...]


def varying(real: Array, *others: Array, columns: Sequence[str] | None = None) -> Kept:
    """Return the columns that vary in the real rows, or in which others differ from these.

    Raises ValueError if none does.
    """
    centre = real.mean(axis=0)
    rounding = CONSTANT * (1 + np.abs(centre))
    varies = real.std(axis=0) > rounding
    differs = np.any([(np.abs(other - centre) > rounding).any(axis=0) for other in (real[:0], *others)], axis=0)
    if not (varies | differs).any():
        got = f"{real.shape[1]} constant column(s)"
        raise ValueError(f"expected a column of `real` that varies, but got {got}; give different movements")
    left_out, degenerate = (
        tuple(columns[i] if columns is not None else i for i in np.flatnonzero(chosen).tolist())
        for chosen in (~varies & ~differs, ~varies & differs)
    )
    return Kept(varies | differs, left_out, degenerate)


def equalise(real: Array, fake: Array, seed: int) -> tuple[Indices, Indices]:
    """Return ascending row indices, as many of either as the smaller sample has, sampled without replacement."""
    rng, size = np.random.default_rng(seed), min(len(real), len(fake))
    a, b = (np.sort(rng.permutation(len(table))[:size]) for table in (real, fake))
    return a, b


def group_numbers(real_groups: Groups | None, fake_groups: Groups | None, sizes: tuple[int, int]) -> Indices | None:
    """Return a number for the group of each row, real ones first; None without groups.

    Raises ValueError for groups of one part only, or of the wrong number.
    """
    if real_groups is None and fake_groups is None:
        return None
    if real_groups is None or fake_groups is None:
        got = "`fake_groups`" if real_groups is None else "`real_groups`"
        raise ValueError(f"expected both `real_groups` and `fake_groups`, or neither, but got {got} alone; give both")
    if (len(real_groups), len(fake_groups)) != sizes:
        raise ValueError(f"expected one group per row {sizes}, but got {(len(real_groups), len(fake_groups))}")
    numbers: Indices = np.unique(np.concatenate([real_groups, fake_groups]), return_inverse=True)[1]
    return numbers


@dataclass(frozen=True, eq=False)
class Standardised:
    """Tables on the scale of the real rows, without the columns that have one value in all of them."""

    real: Float[Tensor, "N G"]
    others: tuple[Float[Tensor, "_ G"], ...]
    left_out: tuple[str | int, ...]
    degenerate: tuple[str | int, ...] = ()


def standardise(
    real: RealRows, *others: Float[Tensor, "_ F"] | Float[Array, "_ F"], columns: Sequence[str] | None = None
) -> Standardised:
    """Return (x - mean) / std for every table, with mean and (population) std of the real rows; float64.

    A column that is constant in the real rows alone has the std of all rows.

    Raises ValueError for non-finite values, differing columns, or tables without variance.
    """
    table = as_table(real, "real", columns)
    tables = [table, *(as_pair(real, other, columns)[1] for other in others)]
    kept = varying(*tables, columns=columns)
    own, pooled = table.std(axis=0), np.concatenate(tables).std(axis=0)
    std = np.where(own > CONSTANT * (1 + np.abs(table.mean(axis=0))), own, pooled)[kept.columns]
    mean = table[:, kept.columns].mean(axis=0)
    scaled = [torch.from_numpy((one[:, kept.columns] - mean) / std) for one in tables]
    return Standardised(scaled[0], tuple(scaled[1:]), kept.left_out, kept.degenerate)
