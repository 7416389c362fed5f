"""What the tests compute hundreds of times alike, kept: prepared data, embedded recordings, composed files.

Preparing the embedded recordings takes a second, reading them a third of one, composing the files of a command with
Hydra a sixth. Recordings from a file, and configurations from another folder, are read anew every time.
"""

import atexit
import copy
import functools
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from trainables.core import cli
from trainables.core import command as commands
from trainables.core.command import CONFIGS, Command
from trainables.data.config import DEFAULT_SOURCE
from trainables.data.readers import recordings
from trainables.data.readers.reader import Piece, ReaderOptions
from trainables.data.splits.store import ENVIRONMENT

Composed = tuple[DictConfig, dict[str, str]]
Key = tuple[str, str, tuple[str, ...]]


def install() -> None:
    """Keep prepared data for the run, and embedded recordings and composed files within each process."""
    embedded = recordings.READERS[DEFAULT_SOURCE]

    def pieces(path: Path | None, options: ReaderOptions) -> list[Piece]:
        return [replace(piece, read=functools.cache(piece.read)) for piece in embedded.pieces(path, options)]

    recordings.READERS[DEFAULT_SOURCE] = replace(embedded, pieces=functools.cache(pieces))
    _own_store()
    _keep_composed()


def _own_store() -> None:
    """Prepare data in a folder of this run, which all of its processes share; the process that made it removes it."""
    if ENVIRONMENT not in os.environ:
        os.environ[ENVIRONMENT] = tempfile.mkdtemp(prefix="prepared-")
        atexit.register(shutil.rmtree, os.environ[ENVIRONMENT], ignore_errors=True)


def _keep_composed() -> None:
    compose, kept = cli._compose, dict[Key, Composed]()

    def composed(command: Command, config_name: str, groups: Sequence[Override]) -> Composed:
        if commands.CONFIGS != CONFIGS:
            return compose(command, config_name, groups)
        key = (command.config_name, config_name, tuple(str(choice.input_line) for choice in groups))
        if key not in kept:
            kept[key] = compose(command, config_name, groups)
        return copy.deepcopy(kept[key])

    cli._compose = composed
