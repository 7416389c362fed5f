"""Time two models on the same movements in turns, for the test in `platform.promotion.latency`."""

import time
from collections.abc import Callable, Sequence

import torch

from platform.promotion.latency import Latency, LatencyConfig
from trainables.core.threads import threads
from trainables.data.canonical import Canonical

Work = Callable[[Canonical], object]
"""The timed call: sampling under the conditions of movements, or scoring them."""


def measure(sides: Sequence[Work], movements: Canonical, config: LatencyConfig) -> Latency:
    """Time the challenger and, where there is one, the champion on the same movements; a first turn does not count.

    Args:
        sides: What both do, the challenger first.
    """
    rows = movements.take(torch.arange(min(config.movements, len(movements))))
    with threads(1):
        turns = [[_ms_per_movement(side, rows) for side in sides] for _ in range(config.repeats + 1)][1:]
    return Latency(*(tuple(side) for side in zip(*turns, strict=True)))


def _ms_per_movement(work: Work, rows: Canonical, clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    work(rows)
    return 1000 * (clock() - began) / len(rows)
