"""Write recordings as canonical Parquet, and print their account."""

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console

from platform.core.console import print_line
from platform.core.data_config import ConvertConfig
from platform.core.inspect_data import reader_of
from platform.core.output_files import writable
from trainables.core.config import require
from trainables.core.formatting import counted
from trainables.data.config import DataConfig
from trainables.data.readers.converted import readers_of, write_converted
from trainables.data.readers.files import WILDCARDS, paths_of
from trainables.data.readers.reading_progress import read_shown
from trainables.data.readers.recording_set import RecordingError, RecordingSet, account_table


def convert_recordings(config: ConvertConfig) -> int:
    """Read recordings, write those that are kept, and print the account; returns the exit code.

    Raises:
        ConfigError: a file of another program is in the place of the one to write, it lies among the recordings or
            cannot be written, or no movement is kept.
        RecordingError: the recordings cannot be read.
    """
    out = Path(config.out)
    with writable("out", out):
        own = not out.exists() or bool(out.is_file() and readers_of(out))
    law = "`out` to be a new file, or one that this command wrote"
    require(own, law, f"{config.out}, which is another", "give out=NAME.parquet, or remove the file")
    _require_outside(out, config)
    data = data_config(config)
    readers = [source.reader for source in data.sources] or [data.source]
    users = set[str]()
    with writable("out", out):
        account = write_converted(_seen(read_shown(data), users), list(dict.fromkeys(readers)), out)
    console = Console()
    names = ("read", "kept", "dropped", "repaired_events")
    print_line(console, account_table(*(account[name] for name in names)))
    print_line(
        console,
        f"\n{out.resolve()}: {account['kept']:,} movements of {counted(len(users), 'user')}; read it with source=table",
    )
    return 0


def _seen(sets: Iterable[RecordingSet], users: set[str]) -> Iterator[RecordingSet]:
    """Yield the sets, and add their users to `users`.

    Raises:
        RecordingError: a file cannot be read.
    """
    try:
        for found in sets:
            users.update(recording.user for recording in found.recordings)
            yield found
    except OSError as error:
        raise RecordingError(f"{error.filename}: cannot be read: {error.strerror}; correct its rights") from None


def data_config(config: ConvertConfig) -> DataConfig:
    """Return the configuration of the recordings to convert; a reader that is not named is guessed."""
    if config.sources:
        return DataConfig(sources=config.sources)
    path = Path(config.path) if config.path else None
    return DataConfig(reader_of(path, config.source).name, config.path, time_unit=config.time_unit)


def _require_outside(out: Path, config: ConvertConfig) -> None:
    """Require that the file to write is none that is read now, or would be read a second time by the same command."""
    for path in map(Path, filter(None, (config.path, *(source.path for source in config.sources)))):
        law, remedy = f"`out` outside of the recordings {path}", "write it beside them, in another folder"
        require(not _would_be_read(out, path), law, str(out), remedy)


def _would_be_read(out: Path, path: Path) -> bool:
    """Whether a file lies, or once it is written will lie, in a folder that is read or among those of a glob."""
    there = out.resolve()
    if path.is_dir():
        return there.is_relative_to(path.resolve())
    if path.exists():
        return False
    first = next((number for number, part in enumerate(path.parts) if WILDCARDS & set(part)), len(path.parts))
    root = Path(*path.parts[:first]).resolve()
    new = there.is_relative_to(root) and _matches(there.relative_to(root).parts, path.parts[first:])
    return new or there in {file.resolve() for file in paths_of(path)}


def _matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a glob, in which `**` stands for any number of folders."""
    if not names or not pattern:
        return not names and not pattern
    if pattern[0] == "**":
        return _matches(names, pattern[1:]) or _matches(names[1:], pattern)
    return fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])
