"""Condition error: what was asked of a sample against what it shows after re-observation, column by column.

    error_i = produced_i - asked_i, in the column's unit;    median |error|,    bias = mean error,    correlation

Divided by the standard deviation of the training split, columns of different units can be compared and averaged: 0 is
obedience; 0.67 to 0.95 (a median of |difference| in standard deviations) is a sample that ignores what it was asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.eval.features.feature_tables import as_pair


@dataclass(frozen=True)
class ConditionError:
    """Obedience to one column of the condition; the first two in its unit, the next two in standard deviations."""

    name: str
    median_absolute: float
    bias: float
    median_absolute_sd: float
    bias_sd: float
    correlation: float | None  # Pearson's; None where the asked or the produced values are all equal


def condition_errors(
    asked: Float[Tensor, "N D"], produced: Float[Tensor, "M D"], std: Float[Tensor, "_"], names: Sequence[str]
) -> tuple[ConditionError, ...]:
    """One error per column, in order; `std` are the standard deviations of the training split.

    Raises ValueError for non-finite conditions (naming row and column), a std that is not positive, and conditions,
    std or names that differ in number.
    """
    if asked.shape != produced.shape or len(std) != asked.shape[1]:
        got = f"{list(asked.shape)}, {list(produced.shape)} and {len(std)}"
        raise ValueError(f"expected `asked` and `produced` to be [N, D] and `std` [D], but got {got}")
    if not (std > 0).all() or not std.isfinite().all():
        raise ValueError(f"expected `std` to be positive and finite in every column, but got {std.tolist()}")
    x, y = (torch.from_numpy(table) for table in as_pair(asked, produced, names))
    return tuple(_column_error(name, x[:, i], y[:, i], std[i].item()) for i, name in enumerate(names))


def _column_error(name: str, asked: Tensor, produced: Tensor, std: float) -> ConditionError:
    error = produced - asked
    median, bias = error.abs().quantile(0.5).item(), error.mean().item()
    return ConditionError(name, median, bias, median / std, bias / std, _correlation(asked, produced))


def _correlation(x: Float[Tensor, "N"], y: Float[Tensor, "N"]) -> float | None:
    """Covariance over the product of the standard deviations; None if one of them is zero."""
    if (x == x[0]).all() or (y == y[0]).all():
        return None
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / (x.norm() * y.norm()))
