"""Write recordings as canonical Parquet, and print their account."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console

from platform.core.console import print_line
from platform.core.data_config import ConvertConfig
from platform.core.inspect_data import reader_of
from trainables.core.config import require
from trainables.data.config import DataConfig
from trainables.data.readers.converted import readers_of, write_converted
from trainables.data.readers.reading_progress import read_shown
from trainables.data.readers.recording_set import RecordingSet, account_table


def convert_recordings(config: ConvertConfig) -> int:
    """Read recordings, write those that are kept, and print the account; returns the exit code.

    Raises:
        ConfigError: a file of another program is in the place of the one to write, or it lies among the recordings,
            or no movement is kept.
        RecordingError: the recordings cannot be read.
    """
    out = Path(config.out)
    own = not out.exists() or bool(out.is_file() and readers_of(out))
    law = "`out` to be a new file, or one that this command wrote"
    require(own, law, f"{config.out}, which is another", "give out=NAME.parquet, or remove the file")
    data = data_config(config)
    _require_outside(out, data)
    readers = [source.reader for source in data.sources] or [data.source]
    users = set[str]()
    account = write_converted(_seen(read_shown(data), users), list(dict.fromkeys(readers)), out)
    console, count = Console(), len(users)
    names = ("read", "kept", "dropped", "repaired_events")
    print_line(console, account_table(*(account[name] for name in names)))
    print_line(
        console,
        f"\n{out.resolve()}: {account['kept']:,} movements of {count:,} user{'s' * (count != 1)}; "
        "read it with source=table",
    )
    return 0


def _seen(sets: Iterable[RecordingSet], users: set[str]) -> Iterator[RecordingSet]:
    """Yield the sets, and add their users to `users`."""
    for found in sets:
        users.update(recording.user for recording in found.recordings)
        yield found


def data_config(config: ConvertConfig) -> DataConfig:
    """Return the configuration of the recordings to convert; a reader that is not named is guessed."""
    if config.sources:
        return DataConfig(sources=config.sources)
    path = Path(config.path) if config.path else None
    return DataConfig(reader_of(path, config.source).name, config.path, time_unit=config.time_unit)


def _require_outside(out: Path, data: DataConfig) -> None:
    """Require that the file to write lies in no folder that is read, where it would be read a second time."""
    for path in filter(None, (data.path, *(source.path for source in data.sources))):
        inside = Path(path).is_dir() and out.resolve().is_relative_to(Path(path).resolve())
        require(not inside, f"`out` outside of the folder {path}", str(out), "write it beside the folder")
