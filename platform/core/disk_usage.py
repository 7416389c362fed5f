"""Size of a folder on disk."""

import os
from contextlib import suppress
from pathlib import Path


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder; a file that is deleted meanwhile does not count."""
    total = 0
    for at, _, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):
                total += (Path(at) / name).stat().st_size
    return total
