"""Tables of several sources for tests: aimed movements of many users, each source with steps of its own."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.trainables.data.takes import path as aimed
from trainables.data.config import RATE_HZ, DataConfig

STEP_MS = 1000 / RATE_HZ


def write_sources(file: Path, *sources: str, users: int = 60, movements: int = 6) -> DataConfig:
    """Write a table with `users` users of each source, and return the configuration that reads it.

    Users of every second source stop at every second sample, so that its movements differ from those of the others.
    """
    rows, rng = [], np.random.default_rng(0)
    for number, source in enumerate(sources):
        for user in range(users):
            for movement in range(movements):
                points = aimed(int(rng.integers(14, 40)), rng)
                if number % 2:
                    points[1:-1:2] = points[:-2:2][: len(points[1:-1:2])]
                t_ms = np.arange(len(points)) * STEP_MS
                rows.append(
                    {
                        "source": source,
                        "user": f"{source}/{user}",
                        "session": str(movement),
                        "t_ms": t_ms,
                        "x": points[:, 0],
                        "y": points[:, 1],
                    }
                )
    pd.DataFrame(rows).to_parquet(file, index=False)
    return DataConfig("table", str(file))
