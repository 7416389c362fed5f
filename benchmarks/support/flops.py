"""Floating-point work of matrix products, counted while they are made: forward, backward and what is computed again.

Multiplications and additions count alike, so that an [M, K] by [K, N] product is 2 M K N. Norms, activations, sums and
optimisers are not counted.
"""

from collections.abc import Callable

from torch.utils.flop_counter import FlopCounterMode


def counted_flops(action: Callable[[], object]) -> int:
    """Return the floating-point operations of the matrix products that a call makes."""
    with FlopCounterMode(display=False) as counter:
        action()
    return int(counter.get_total_flops())
