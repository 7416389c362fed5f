"""Prepared splits on disk: written once, atomically and under a lock, then mapped by every process of the machine.

    STORE/KEY/manifest.json                  the account, names, statistics and the size of every array
    STORE/KEY/train.deltas.npy ...           one array per split and tensor, mapped and not read
    STORE/contents.json                      hashes of the files that were read, by their size and time of change

`KEY` is a hash of the configuration, of the contents of the files that it reads and of the code that prepares them, so
that a changed file or another version is prepared anew beside the old. The folder appears under its name once it is
complete. One that is damaged is prepared again, which a line says.

`HUMOUSE_STORE` names the folder; by default it is that of the user's caches (`XDG_CACHE_HOME`). It may be deleted at
any time: processes that have mapped an array keep it.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import platformdirs
import torch
from torch import Tensor

from trainables.core.atomic_files import flush, try_lock, write_atomically
from trainables.core.config import digest, violation
from trainables.training.checkpoint_record import file_sha256

ENVIRONMENT = "HUMOUSE_STORE"
APPLICATION = "humouse"
MANIFEST, CONTENTS, LOCKS, STAGED = "manifest.json", "contents.json", ".locks", ".staged"
VERSION = 1
CHECKED_BYTES = 64 * 2**20  # arrays of a set up to this size are compared with their hashes whenever it is opened
WAIT_S = 0.2  # between two looks at a lock that another process holds

Array = npt.NDArray[Any]
States = Mapping[Path, tuple[int, int, int]]
"""Size, time of change and number of each file that is read."""
LOGGER = logging.getLogger(__name__)


class DamagedSetError(Exception):
    """A prepared set that is incomplete or was changed; the message says how."""


def store_folder() -> Path:
    """Return the folder of all prepared sets."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named).expanduser().absolute() if named else platformdirs.user_cache_path(APPLICATION) / "prepared"


@dataclass(frozen=True)
class PreparedSet:
    """Arrays and an account in one folder of the store.

    Attributes:
        path: Its folder.
        manifest: Content of its manifest.
    """

    path: Path
    manifest: Mapping[str, Any]

    @classmethod
    def opened(cls, path: Path) -> "PreparedSet":
        """Return the set of a folder.

        Raises:
            FileNotFoundError: there is no such folder.
            DamagedSetError: a part of it is missing or differs from its manifest.
        """
        if not path.is_dir():
            raise FileNotFoundError(path)
        try:
            manifest = json.loads((path / MANIFEST).read_text())
            sizes = {name: about["bytes"] for name, about in manifest["arrays"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedSetError(f"{MANIFEST} cannot be read ({type(error).__name__})") from None
        found = cls(path, manifest)
        for name, size in sizes.items():
            file = found._file(name)
            actual = file.stat().st_size if file.is_file() else None
            if actual != size:
                got = "is missing" if actual is None else f"has {actual} bytes"
                raise DamagedSetError(f"{file.name} {got}, expected {size}")
        if sum(sizes.values()) <= CHECKED_BYTES:
            found.check()
        return found

    def check(self) -> None:
        """Compare every array with its hash; raises DamagedSetError for one that differs or is missing."""
        for line in damaged_arrays(self.path, self.manifest["arrays"]):
            raise DamagedSetError(line)

    @cached_property
    def bytes(self) -> int:
        """Size of its arrays."""
        return sum(int(about["bytes"]) for about in self.manifest["arrays"].values())

    def tensor(self, name: str) -> Tensor:
        """Return an array as a tensor that is mapped: shared by all processes, read from the disk where it is used."""
        return mapped(self._file(name))

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.npy"


def damaged_arrays(folder: Path, arrays: Mapping[str, Any]) -> Iterator[str]:
    """Compare the arrays in a folder with the hashes that its manifest holds; yield what is wrong, a line each."""
    for name, about in arrays.items():
        file = folder / f"{name}.npy"
        if not file.is_file():
            yield f"{file.name} is missing"
        elif file_sha256(file) != about["sha256"]:
            yield f"{file.name} differs from its hash"


def mapped(file: Path) -> Tensor:
    """Return an array on the disk as a tensor; a write into it changes this process alone."""
    return torch.from_numpy(np.load(file, mmap_mode="c"))


class Writer:
    """Writes the arrays of a set into a folder that is not yet under its name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arrays: list[str] = []

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """Return a new array on the disk, to be filled; its room is taken first, for a full disk would end the process.

        Raises:
            OSError: there is no room.
        """
        self.arrays.append(name)
        file = self.folder / f"{name}.npy"
        found: Array = np.lib.format.open_memmap(file, mode="w+", dtype=np.dtype(dtype), shape=shape)
        with file.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)
        return found

    def save(self, name: str, values: Array) -> None:
        """Write an array as a whole."""
        self.arrays.append(name)
        np.save(self.folder / f"{name}.npy", values)

    def finish(self, account: Mapping[str, Any]) -> None:
        """Write the manifest; everything is on the disk when this returns."""
        about = {}
        for name in self.arrays:
            file = self.folder / f"{name}.npy"
            flush(file)
            about[name] = {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
        write_atomically(self.folder / MANIFEST, json.dumps({**account, "version": VERSION, "arrays": about}))


def prepared_set(key: str, prepare: Callable[[Writer], Mapping[str, Any]]) -> PreparedSet:
    """Return the set of a key, prepared first where there is none; of several processes one prepares, the others wait.

    Args:
        prepare: Writes all arrays and returns the account.

    Raises:
        ConfigError: the store cannot be written, or the disk is full; nothing is left of the set then.
    """
    path = store_folder() / key
    with suppress(FileNotFoundError, DamagedSetError):
        return PreparedSet.opened(path)
    try:
        with _locked(key):
            return _opened(path) or _written(path, prepare)
    except OSError as error:
        law = f"the store of prepared data {path.parent} to be writable, with room for them"
        got = error.strerror or type(error).__name__
        raise violation(law, got, f"free space there, or name another folder in {ENVIRONMENT}") from None


def _opened(path: Path) -> PreparedSet | None:
    try:
        return PreparedSet.opened(path)
    except FileNotFoundError:
        return None
    except DamagedSetError as error:
        LOGGER.warning("prepared data %s are damaged: %s; preparing them again", path, error)
        return None


def _written(path: Path, prepare: Callable[[Writer], Mapping[str, Any]]) -> PreparedSet:
    """Write a set beside its place and move it there; what an earlier process left is removed."""
    staged = path.with_name(f"{STAGED}-{path.name}")
    for left in (staged, path):
        shutil.rmtree(left, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        writer = Writer(staged)
        writer.finish(prepare(writer))
        staged.rename(path)
        flush(path.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return PreparedSet.opened(path)


def _locked(name: str) -> IO[str]:
    """Return the lock of a name in the store, held until it is closed; waits while another process holds it."""
    while True:
        try:
            return try_lock(store_folder() / LOCKS / name)
        except BlockingIOError:
            time.sleep(WAIT_S)


def key_of(config: Mapping[str, Any], contents: Sequence[str], code: str) -> str:
    """Return the key of a set: a hash of what it is made of."""
    return digest({"config": dict(config), "contents": list(contents), "code": code, "version": VERSION})


def content_hashes(states: States) -> list[str]:
    """Return the SHA-256 of each file, computed once for each state of it.

    Raises:
        OSError: One cannot be read.
    """
    index = store_folder() / CONTENTS
    known, new = _index(index), dict[str, list[Any]]()
    found = []
    for file, state in states.items():
        name, seen = str(file.absolute()), [*state]
        if known.get(name, [])[:-1] != seen:
            known[name] = new[name] = [*seen, file_sha256(file)]
        found.append(str(known[name][-1]))
    if new:
        with suppress(OSError), _locked(CONTENTS):  # a store that cannot be written is named when the set is
            write_atomically(index, json.dumps({**_index(index), **new}))
    return found


def _index(file: Path) -> dict[str, list[Any]]:
    """Return the known hashes; none where the file is missing or damaged, for they can be computed again."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return dict(found) if isinstance(found, dict) else {}
