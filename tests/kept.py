"""What the tests compute hundreds of times alike, kept within each process: embedded recordings, composed files.

Reading and observing the embedded recordings takes half a second, composing the files of a command with Hydra a sixth
of one. Recordings from a file, and configurations from another folder, are read anew every time.
"""

import copy
import functools
from collections.abc import Sequence

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from trainables.core import cli
from trainables.core import command as commands
from trainables.core.command import CONFIGS, Command
from trainables.data import dataset, recordings
from trainables.data.config import DEFAULT_SOURCE, DataConfig

Composed = tuple[DictConfig, dict[str, str]]
Key = tuple[str, str, tuple[str, ...]]


def install() -> None:
    """Keep the embedded recordings and their movements, and the composed files of each command."""
    recordings.READERS[DEFAULT_SOURCE] = functools.cache(recordings.READERS[DEFAULT_SOURCE])
    _keep_movements()
    _keep_composed()


def _keep_movements() -> None:
    observe = dataset._observed
    of_embedded = functools.cache(lambda leave_out: observe(DataConfig(leave_out=leave_out)))

    def observed(config: DataConfig) -> dataset._Observed:
        embedded = config.source == DEFAULT_SOURCE and config.path is None and not config.sources
        return of_embedded(config.leave_out) if embedded else observe(config)

    dataset._observed = observed


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
