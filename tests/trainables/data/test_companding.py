"""Companding is invertible, keeps directions, and has the stated values near a pixel and far from it."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainables.data.companding import compand, expand


@pytest.mark.parametrize("scale", [0.1, 0.25, 1.0, 4.0])
@pytest.mark.parametrize("channels", [2, 3])
def test_expanding_undoes_companding(scale: float, channels: int) -> None:
    torch.manual_seed(0)
    steps = 50 * torch.randn(4, 9, channels).double()
    steps[0, 2] = 0.0
    torch.testing.assert_close(expand(compand(steps, scale), scale), steps)


def test_a_step_keeps_its_direction_and_gets_the_asinh_of_its_length() -> None:
    steps = torch.tensor([[[3.0, 4.0, 2.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 1.0]]]).double()
    found = compand(steps, 0.25)
    five, one = math.asinh(20.0), math.asinh(4.0)
    expected = [[0.6 * five, 0.8 * five, math.asinh(2.0)], [0.0, 0.0, 0.0], [-one, 0.0, math.asinh(1.0)]]
    torch.testing.assert_close(found[0], torch.tensor(expected).double())


def test_at_the_default_scale_zero_and_one_lie_as_far_apart_as_one_and_eight() -> None:
    zero, one, eight = compand(torch.tensor([[[0.0, 0.0], [1.0, 0.0], [8.0, 0.0]]]).double(), 0.25)[0, :, 0].tolist()
    assert one - zero == pytest.approx(eight - one, rel=0.02)


@pytest.mark.parametrize("way", [compand, expand])
def test_a_step_has_the_same_bits_at_every_position(way: Callable[[Tensor, float], Tensor]) -> None:
    """At odd lengths: what a processor computes at once then begins and ends anywhere."""
    steps = torch.randn(40, 51, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = way(steps, 0.25)
    for first, count in ((0, 1), (3, 1), (17, 5), (7, 33)):
        assert torch.equal(way(steps[first : first + count].clone(), 0.25), together[first : first + count])
