"""Tables of some of the recordings of a larger table, for benchmarks that read one source or some users alone."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from trainables.core.config import require

Keep = Callable[[pd.DataFrame], "pd.Series[bool]"]
"""Recordings -> which of them are kept."""


def table_of(recordings: Path, name: str, keep: Keep, folder: Path) -> Path:
    """Write some of the recordings as a table of its own, once; returns its path.

    Raises:
        ConfigError: There are none.
    """
    path = folder / f"{name}.parquet"
    if not path.exists():
        table = pd.read_parquet(recordings)
        chosen = table[keep(table)]
        require(len(chosen) > 0, f"movements of {name} in {recordings}", "none", "name sources that it has")
        path.parent.mkdir(parents=True, exist_ok=True)
        chosen.to_parquet(path)
    return path
