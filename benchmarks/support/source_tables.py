"""Tables of some of the recordings of a larger table, for benchmarks that read one source or some users alone."""

from collections.abc import Callable, Sequence
from functools import partial
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


def tables_of_sources(recordings: Sequence[Path], sources: Sequence[str], folder: Path) -> dict[str, Path]:
    """Return a table of each source's recordings, from the first file that has any.

    Raises:
        ConfigError: A file cannot be read, or no file has recordings of a source.
    """
    found: dict[str, Path] = {}
    for file in recordings:
        require(file.is_file(), "`--recordings` to be Parquet tables of movements", str(file), "name a file")
        known = set(pd.read_parquet(file, columns=["source"])["source"])
        for source in sources:
            if source in known and source not in found:
                found[source] = table_of(file, source, partial(of_source, source), folder)
    missing = [source for source in sources if source not in found]
    got = f"none of {', '.join(missing)}"
    require(not missing, "recordings of every source", got, "name sources that the tables have")
    return found


def of_source(name: str, table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which recordings of a table are of a source."""
    return table["source"] == name
