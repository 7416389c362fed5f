"""Check and scale feature tables [N, F] for two-sample metrics.

A column that is constant in the real rows holds no information on users, yet any deviation in it would identify a fake
(a net direction of exactly +x, for example). Such columns are left out, by name, in every comparison.
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


def as_table(samples: Float[Tensor, "N F"], name: str, columns: Sequence[str] | None = None) -> Array:
    """Return the samples in float64. Raises ValueError naming row and column of the first non-finite value."""
    if samples.ndim != 2 or samples.shape[0] < 2 or samples.shape[1] < 1:
        raise ValueError(f"expected `{name}` to be [N >= 2, F >= 1], but got {list(samples.shape)}")
    if columns is not None and len(columns) != samples.shape[1]:
        raise ValueError(
            f"expected `columns` to name each of the {samples.shape[1]} columns, but got {len(columns)} names"
        )
    table = samples.detach().to("cpu", torch.float64).numpy()
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0].tolist()
        label = columns[column] if columns is not None else column
        got = f"{table[row, column]} in row {row}, column {label} ({len(bad)} such value(s))"
        raise ValueError(f"expected finite `{name}`, but got {got}; leave such rows out")
    return table


def as_pair(
    real: Float[Tensor, "N F"], fake: Float[Tensor, "M F"], columns: Sequence[str] | None = None
) -> tuple[Array, Array]:
    """Return both samples in float64. Raises ValueError as `as_table` does, and if their columns differ in number."""
    tables = as_table(real, "real", columns), as_table(fake, "fake", columns)
    if real.shape[1] != fake.shape[1]:
        got = f"{real.shape[1]} and {fake.shape[1]} columns"
        raise ValueError(f"expected the same columns in `real` and `fake`, but got {got}; compute the same features")
    return tables


def varying(real: Array, columns: Sequence[str] | None = None) -> tuple[npt.NDArray[np.bool_], tuple[str | int, ...]]:
    """Return the mask of columns that vary in the real rows, and the names (or indices) of the others.

    Raises ValueError if none varies.
    """
    keep = real.std(axis=0) > CONSTANT * (1 + np.abs(real.mean(axis=0)))
    if not keep.any():
        got = f"{real.shape[1]} constant column(s)"
        raise ValueError(f"expected a column of `real` that varies, but got {got}; give different movements")
    constant = np.flatnonzero(~keep).tolist()
    return keep, tuple(columns[i] if columns is not None else i for i in constant)


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
    """Tables on the scale of the real rows, without the columns that are constant there."""

    real: Float[Tensor, "N G"]
    others: tuple[Float[Tensor, "_ G"], ...]
    left_out: tuple[str | int, ...]


def standardise(
    real: Float[Tensor, "N F"], *others: Float[Tensor, "_ F"], columns: Sequence[str] | None = None
) -> Standardised:
    """Return (x - mean) / std for every table, with mean and (population) std of the real rows; float64.

    Raises ValueError for non-finite values, differing columns, or a real part without variance.
    """
    table = as_table(real, "real", columns)
    keep, left_out = varying(table, columns)
    mean, std = table[:, keep].mean(axis=0), table[:, keep].std(axis=0)
    scaled = [torch.from_numpy((as_pair(real, x, columns)[1][:, keep] - mean) / std) for x in (real, *others)]
    return Standardised(scaled[0], tuple(scaled[1:]), left_out)
