"""Progress of the reading of many recordings: a bar on a terminal, else one line at its begin."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from trainables.data.config import DataConfig
from trainables.data.readers.files import state_of
from trainables.data.readers.recording_set import RecordingSet
from trainables.data.readers.recordings import data_files, data_pieces

LARGE_BYTES = 64 * 2**20  # of files; less is read within seconds


@runtime_checkable
class Stored(Protocol):
    """A part of a data set, of which it is known how many bytes of its files it takes."""

    @property
    def stored(self) -> int:
        """Bytes in the files."""


T = TypeVar("T", bound=Stored)


def read_shown(config: DataConfig) -> Iterator[RecordingSet]:
    """Yield the recordings of a configuration a piece at a time, while the progress is shown."""
    for piece in shown(data_pieces(config), config, "reading"):
        yield piece.read()


def shown(parts: Iterable[T], config: DataConfig, verb: str) -> Iterator[T]:
    """Yield parts of a data set while the progress is shown on the error output; of a small one nothing is.

    Args:
        verb: What is done with them.
    """
    total = sum(state_of(file).st_size for file in data_files(config))
    if total < LARGE_BYTES:
        yield from parts
        return
    console, label = Console(stderr=True), f"{verb} {config.label}"
    if not console.is_terminal:
        console.print(f"{label}: {total / 2**20:,.0f} MiB of recordings", highlight=False, soft_wrap=True)
        yield from parts
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=total)
        for part in parts:
            progress.advance(task, part.stored)
            yield part
