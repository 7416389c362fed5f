"""Counted work against a count by hand: products forward and backward, and nothing else."""

import torch
from torch import nn

from benchmarks.support.flops import counted_flops


def test_a_product_has_two_operations_for_each_of_its_terms() -> None:
    x, y = torch.randn(3, 4), torch.randn(4, 5)
    assert counted_flops(lambda: x @ y) == 2 * 3 * 4 * 5
    assert counted_flops(lambda: (x + 1.0).exp().sum()) == 0


def test_a_step_has_the_products_of_both_passes() -> None:
    """Forward, the gradient of each weight, and that of each input but the first, which needs none."""
    network, x = nn.Sequential(nn.Linear(4, 6), nn.SiLU(), nn.Linear(6, 1)), torch.randn(3, 4)
    first, second = 2 * 3 * 4 * 6, 2 * 3 * 6 * 1
    assert counted_flops(lambda: network(x)) == first + second
    assert counted_flops(lambda: network(x).sum().backward()) == 2 * first + 3 * second
