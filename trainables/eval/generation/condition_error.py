"""Condition error: requested against produced conditions of samples after re-observation, column by column.

    error_i = produced_i - requested_i, in the column's unit;    median |error|,    bias = mean error,    correlation

Divided by the standard deviation of the training split, columns of different units can be compared and averaged: 0 is
exact; 0.67 to 0.95 (a median of |difference| in standard deviations) is a generator that ignores its conditions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.eval.features.feature_tables import as_pair


@dataclass(frozen=True)
class ConditionError:
    """Errors of one condition; the first two in its unit, the next two in standard deviations."""

    name: str
    median_absolute: float
    bias: float
    median_absolute_sd: float
    bias_sd: float
    correlation: float | None  # Pearson's; None if all requested or all produced values are equal


def condition_errors(
    requested: Float[Tensor, "N D"], produced: Float[Tensor, "M D"], std: Float[Tensor, "_"], names: Sequence[str]
) -> tuple[ConditionError, ...]:
    """Return one error per column, in order; `std` are the standard deviations of the training split.

    Raises ValueError for non-finite conditions (naming row and column), a std that is not positive, and conditions,
    std or names that differ in number.
    """
    if requested.shape != produced.shape or len(std) != requested.shape[1]:
        got = f"{list(requested.shape)}, {list(produced.shape)} and {len(std)}"
        raise ValueError(f"expected `requested` and `produced` to be [N, D] and `std` [D], but got {got}")
    if not (std > 0).all() or not std.isfinite().all():
        raise ValueError(f"expected `std` to be positive and finite in every column, but got {std.tolist()}")
    x, y = (torch.from_numpy(table) for table in as_pair(requested, produced, names))
    return tuple(_column_error(name, x[:, i], y[:, i], std[i].item()) for i, name in enumerate(names))


def _column_error(name: str, requested: Tensor, produced: Tensor, std: float) -> ConditionError:
    error = produced - requested
    median, bias = error.abs().quantile(0.5).item(), error.mean().item()
    return ConditionError(name, median, bias, median / std, bias / std, _correlation(requested, produced))


def _correlation(x: Float[Tensor, "N"], y: Float[Tensor, "N"]) -> float | None:
    """Return the covariance over the product of the standard deviations; None if one of them is zero."""
    if (x == x[0]).all() or (y == y[0]).all():
        return None
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / (x.norm() * y.norm()))
