"""Time an action: the median of a few runs after one that warms up."""

import time
from collections.abc import Callable

REPEATS = 3
PROBE_S = 0.6  # features, probe and MMD of one evaluation, beside the sampling


def seconds(action: Callable[[], object]) -> float:
    """Median seconds of a few runs after one that warms up."""
    action()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return sorted(times)[REPEATS // 2]
