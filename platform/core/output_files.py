"""Files that a command writes where its user says: one that cannot be written is wrong input, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.core.config import violation


@contextmanager
def writable(key: str, file: Path) -> Iterator[None]:
    """Raise ConfigError in place of an error of the system while a file is written.

    Args:
        key: Key of the configuration that names the file.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
        law, got = f"`{key}` to be a file that can be written", f"{key}={file} ({reason})"
        raise violation(law, got, "name another file, or correct the rights or free space there") from None
