"""Checks of a batch of movements before its features are computed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainables.eval.features.kinematic import movement_features


def spoil(change: Callable[[Tensor, Tensor], None]) -> tuple[Tensor, Tensor]:
    deltas = torch.full((3, 10, 2), 0.1)
    deltas[..., 1] = 0.0
    mask = torch.ones(3, 10, dtype=torch.bool)
    change(deltas, mask)
    return deltas, mask


def gap(deltas: Tensor, mask: Tensor) -> None:
    mask[1, 4] = False


def short(deltas: Tensor, mask: Tensor) -> None:
    mask[1, 3:] = False


def not_a_number(deltas: Tensor, mask: Tensor) -> None:
    deltas[1, 2, 1] = torch.nan


def infinite(deltas: Tensor, mask: Tensor) -> None:
    deltas[1, 2, 0] = torch.inf


def still(deltas: Tensor, mask: Tensor) -> None:
    deltas[1] = 0.0


def rotated(deltas: Tensor, mask: Tensor) -> None:
    deltas[1] = deltas[1].flip(1)


@pytest.mark.parametrize(
    ("change", "law"),
    [
        (gap, "the valid steps first"),
        (short, "`valid steps >= 4`"),
        (not_a_number, "finite"),
        (infinite, "finite"),
        (still, "a step other than"),
        (rotated, "canonical frame"),
    ],
)
def test_a_bad_movement_is_refused_by_its_row(change: Callable[[Tensor, Tensor], None], law: str) -> None:
    with pytest.raises(ValueError, match=rf"row 1 .*{law}"):
        movement_features(*spoil(change))


def test_four_steps_are_enough_and_no_movements_are_no_rows() -> None:
    path = torch.tensor([[[0.1, 0.2], [0.5, -0.1], [0.3, 0.0], [0.1, -0.1]]])
    mask = torch.ones(1, 4, dtype=torch.bool)
    assert movement_features(path, mask).isfinite().all()
    assert movement_features(path[:0], mask[:0]).shape == (0, 20)


def test_a_mask_of_the_wrong_type_or_shape_is_refused() -> None:
    with pytest.raises((ValueError, TypeError)):
        movement_features(torch.zeros(2, 5, 2), torch.ones(2, 4, dtype=torch.bool))
