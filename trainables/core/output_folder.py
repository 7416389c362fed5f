"""The folder that a command writes, checked before its work begins."""

import os
from pathlib import Path

from trainables.core.config import require


def output_folder(out_dir: str) -> Path:
    """Return the folder of an output, which is not made yet.

    Raises:
        ConfigError: It, or the nearest folder above it that exists, is a file or cannot be written.
    """
    folder = Path(out_dir)
    found = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    fits = found.is_dir() and os.access(found, os.W_OK)
    require(fits, "`out_dir` to be a folder that can be written", f"{found}, which is none", "name another one")
    return folder
