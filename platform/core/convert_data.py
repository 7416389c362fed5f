"""Write recordings as canonical Parquet, and print their account."""

from pathlib import Path

from rich.console import Console

from platform.core.console import print_line
from platform.core.data_config import ConvertConfig
from platform.core.inspect_data import reader_of
from trainables.core.config import require
from trainables.data.config import DataConfig
from trainables.data.readers.converted import readers_of, write_converted
from trainables.data.readers.recordings import drop_table, read_data


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
    found = read_data(data)
    kept = len(found.recordings)
    reason = max(found.dropped, key=found.dropped.__getitem__, default="none was read")
    require(kept > 0, "a movement that is kept", f"none of {found.read}", f"most are dropped: {reason}")
    readers = [source.reader for source in data.sources] or [data.source]
    write_converted([found], list(dict.fromkeys(readers)), out)
    users = len({recording.user for recording in found.recordings})
    console = Console()
    print_line(console, drop_table(found))
    print_line(
        console,
        f"\n{out.resolve()}: {kept:,} movements of {users:,} user{'s' * (users != 1)}; read it with source=table",
    )
    return 0


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
