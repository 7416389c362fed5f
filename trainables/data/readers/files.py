"""The files behind a `path`: one file, every file of a reader below a folder, in a zip archive, or that a glob matches.

    path                          files                                                   what names the source
    recordings.csv, .csv.gz       the file; gzip is undone                                stem of the file
    folder/                       all files of the reader's suffixes below it             name of the folder
    archive.zip                   the same inside it; the archive is a folder             stem of the archive
    "folder/*.csv", "**/*.mt"     the same of those that match                            last folder without a wildcard

Files come in the order of their names. A reader takes one suffix from a folder: where there are files of several, such
as a table beside the raw files that it was made of, a movement might be read twice, and the folder is refused.
Where a file does not name the user or the session, the folder that it lies in is the user, and a file that lies in
`path` itself is one user's; the session is the stem of the file.
"""

import gzip
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path, PurePath

from trainables.data.readers.recording_set import RecordingError

WILDCARDS = frozenset("*?[")
FOLDERS = (".zip",)
COMPRESSED = ".gz"
RECORDING_SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".mt")  # .txt and .json are mostly notes and settings


@dataclass(frozen=True)
class InputFile:
    """One file to read.

    Attributes:
        path: As messages name it; of a member of an archive: ARCHIVE.zip/MEMBER.
        folder: Name of the folder that it lies in, below the `path` that was given; empty directly in it.
        collection: What names the source where the file does not.
        load: Returns the bytes as they are stored.
        size: Number of them; of a member of an archive after unpacking.
        alone: Whether it was named itself.
    """

    path: Path
    folder: str
    collection: str
    load: Callable[[], bytes]
    size: int
    alone: bool = False

    @property
    def name(self) -> str:
        """The name of the file without `.gz`."""
        return name_of(self.path.name)

    @property
    def suffix(self) -> str:
        """The suffix before `.gz` in lower case."""
        return PurePath(self.name).suffix.lower()

    @property
    def stem(self) -> str:
        """The name of the file without suffixes."""
        return stem_of(self.path.name)

    @property
    def is_plain(self) -> bool:
        """Whether it is a file on the disk as it is: neither compressed nor a member of an archive."""
        return self.path.is_file() and not self.path.name.lower().endswith(COMPRESSED)

    @property
    def is_member(self) -> bool:
        """Whether it lies in an archive."""
        return any(part.suffix.lower() in FOLDERS for part in self.path.parents)

    @property
    def user(self) -> str:
        """The user where the file names none."""
        return self.folder or self.stem

    def content(self) -> bytes:
        """Return the bytes, with gzip undone.

        Raises:
            RecordingError: It cannot be read, or is no gzip file although its name says so.
        """
        try:
            stored = self.load()
            return gzip.decompress(stored) if self.path.name.lower().endswith(COMPRESSED) else stored
        except (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
            raise RecordingError(f"{self.path}: cannot be read: {error}; check that the file is complete") from error


def name_of(name: str) -> str:
    """Return the name of a file without `.gz`."""
    return name[: -len(COMPRESSED)] if name.lower().endswith(COMPRESSED) else name


def stem_of(name: str) -> str:
    """Return the name of a file without suffixes."""
    return PurePath(name_of(name)).stem


def file_of(path: Path) -> InputFile:
    """Return the file of a path.

    Raises:
        RecordingError: There is none.
    """
    if not path.exists():
        raise RecordingError(f"{path}: no such file or folder")
    return InputFile(path, "", stem_of(path.name), path.read_bytes, state_of(path).st_size, alone=True)


def state_of(file: Path) -> os.stat_result:
    """Return the state of a file; raises RecordingError where it cannot be read."""
    try:
        return file.stat()
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(path: Path, error: Exception) -> RecordingError:
    return RecordingError(f"{path}: cannot be read: {error}; check that it is there and that you may read it")


def all_files(path: Path) -> list[InputFile]:
    """Return the file that a path names, or all files in a folder, in an archive or of a glob but hidden ones.

    Raises:
        RecordingError: There is nothing.
    """
    if path.is_file() and path.suffix.lower() not in FOLDERS:
        return [file_of(path)]
    return [file for file in _inside(path) if not _is_hidden(file.path)]


def files_of(path: Path | None, source: str, suffixes: Sequence[str], pattern: str = "") -> list[InputFile]:
    """Return the files to read; a file that is named itself is returned whatever its suffix.

    Args:
        pattern: Glob of the names of a collection's files; then other files beside them do not matter.

    Raises:
        RecordingError: No path, nothing there, no file of the suffixes, or files of several suffixes.
    """
    if path is None:
        raise RecordingError(f"expected a `path` with source={source}, but got none; add path=FILE")
    found = all_files(path)
    if found and found[0].alone:
        return found
    if pattern:
        return _required(path, [file for file in found if fnmatch(file.name, pattern)], f"userN/{pattern}")
    chosen = [file for file in found if file.suffix in suffixes]
    known = Counter(file.suffix for file in found if file.suffix in {*suffixes, *RECORDING_SUFFIXES})
    if len(known) > 1:
        got = ", ".join(f"{count} {suffix}" for suffix, count in sorted(known.items()))
        packed = any(file.is_member for file in found)
        one_kind = f"name those of one kind, as path='{_folder_of(path)}/**/*{min(known)}'"
        remedy = "unpack the archive and name those of one kind" if packed else one_kind
        raise RecordingError(f"{path}: expected recordings of one suffix {_place(path)}, but got {got}; {remedy}")
    return _required(path, chosen, " or ".join(suffixes))


def paths_of(path: Path) -> list[Path]:
    """Return the files on the disk behind a path, archives as they are; none where there is nothing."""
    if path.is_dir():
        return _walk(path)
    return [path] if path.exists() else _matches(path)


def _walk(folder: Path) -> list[Path]:
    """Return all files below a folder in the order of their names.

    Raises:
        RecordingError: A folder below it cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise _unreadable(Path(error.filename or folder), error) from error

    found = (Path(where) / name for where, _, names in os.walk(folder, onerror=refuse) for name in names)
    return sorted(file for file in found if file.is_file())


def _matches(path: Path) -> list[Path]:
    """Return the files that match a glob in the order of their names; none where it is no glob."""
    if not WILDCARDS & set(str(path)):
        return []
    root = _folder_of(path)
    pattern = str(path.relative_to(root))
    if "**" in pattern:
        _walk(root)  # a folder that cannot be read would be passed over
    return sorted(file for file in root.glob(pattern) if file.is_file())


def _required(path: Path, files: list[InputFile], wanted: str) -> list[InputFile]:
    if not files:
        raise RecordingError(f"{path}: expected files {wanted} {_place(path)}, but got none; correct `path`")
    return files


def _place(path: Path) -> str:
    return "in this folder" if path.exists() else "of this glob"


def _inside(path: Path) -> Iterator[InputFile]:
    """Yield all files of a folder, an archive or a glob in the order of their names."""
    if path.is_dir():
        yield from _below(path, _walk(path))
    elif path.exists():
        yield from _members(path)
    elif WILDCARDS & set(str(path)):
        matches = _matches(path)
        if not matches:
            raise RecordingError(f"{path}: no file matches this glob; correct `path`")
        yield from _below(_folder_of(path), matches)
    else:
        raise RecordingError(f"{path}: no such file or folder")


def _below(root: Path, files: Sequence[Path]) -> Iterator[InputFile]:
    for file in files:
        if file.suffix.lower() in FOLDERS:
            yield from _members(file)
        else:
            folder = file.parent.name if file.parent != root else ""
            yield InputFile(file, folder, root.resolve().name, file.read_bytes, state_of(file).st_size)


def _members(archive: Path) -> Iterator[InputFile]:
    try:
        with zipfile.ZipFile(archive) as opened:
            sizes = {info.filename: info.file_size for info in opened.infolist() if not info.is_dir()}
    except (OSError, zipfile.BadZipFile) as error:
        raise RecordingError(f"{archive}: cannot be read: {error}; check that the archive is complete") from error
    for name, size in sorted(sizes.items()):
        load = partial(_member, archive, name)
        yield InputFile(archive / name, PurePath(name).parent.name, archive.stem, load, size)


def _member(archive: Path, name: str) -> bytes:
    with zipfile.ZipFile(archive) as opened:
        return opened.read(name)


def _folder_of(path: Path) -> Path:
    """Return the part of a path before its first wildcard."""
    if path.is_dir():
        return path
    parts = path.parts[: next((i for i, part in enumerate(path.parts) if WILDCARDS & set(part)), len(path.parts))]
    return Path(*parts) if parts else Path()


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or "__MACOSX" in path.parts
