"""The prepared sets of the store: what each holds, whether it is whole, and how one is deleted.

A set is deleted under its lock and renamed first, so that no process finds half of one; a process that has mapped its
arrays keeps them. One that another process prepares right now is left alone.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trainables.core.atomic_files import LOCK, staging_path, try_lock
from trainables.core.config import violation
from trainables.data.splits import loading
from trainables.data.splits.store import CONTENTS, ENVIRONMENT, LOCKS, MANIFEST, STAGED, damaged_arrays, store_folder
from trainables.training import manifest

KEY = re.compile("[0-9a-f]{16}")  # what `digest` returns
TEXTS = ("label", "parent", "name", "split", "code")  # of a manifest
UNREADABLE = f"{MANIFEST} is missing or cannot be read"
UNFINISHED = "was not prepared to its end"


@dataclass(frozen=True)
class StoredSet:
    """A folder of the store.

    Attributes:
        key: Key of the set.
        path: Its folder.
        manifest: Content of its manifest; empty where that cannot be read.
        prepared_s: When it was prepared, in seconds since 1970.
    """

    key: str
    path: Path
    manifest: Mapping[str, Any]
    prepared_s: float

    @property
    def users(self) -> Sequence[str] | None:
        """Names of its users; None where it records none itself."""
        names = self.manifest.get("names")
        return names.get("group") if isinstance(names, Mapping) else None

    @property
    def parent(self) -> str | None:
        """Key of the set that it is derived from."""
        return self.manifest.get("parent")

    @property
    def movements(self) -> int | None:
        """Number of movements of all splits; None where none is recorded."""
        counts = self.manifest.get("movements")
        return sum(counts.values()) if isinstance(counts, Mapping) else None

    @property
    def label(self) -> str:
        """What its recordings are called, or what is derived; empty where that is not recorded."""
        if self.parent is not None:
            return f"{self.manifest.get('name', '')} of {self.parent}/{self.manifest.get('split', '')}"
        return str(self.manifest.get("label", ""))

    @cached_property
    def bytes(self) -> int:
        """Size of its files."""
        total = 0
        for file in self.path.rglob("*"):
            with suppress(FileNotFoundError):  # another process has removed it
                total += file.stat().st_size if file.is_file() else 0
        return total

    @property
    def is_unfinished(self) -> bool:
        """Whether it is not under its name: being prepared, or left by a preparation or deletion that was cut."""
        return self.path.name.startswith(STAGED)

    @property
    def is_of_this_version(self) -> bool:
        """Whether the present code prepares it in the same way; only then is it used."""
        folder = loading.CODE if self.parent is None else manifest.CODE
        return self.manifest.get("code") == manifest.code_sha256(folder)

    def damage(self) -> Iterator[str]:
        """Compare every array with its hash; yield what is wrong."""
        arrays = self.manifest.get("arrays")
        if not isinstance(arrays, Mapping):
            yield UNFINISHED if self.is_unfinished else UNREADABLE
            return
        yield from damaged_arrays(self.path, arrays)


def stored_sets() -> list[StoredSet]:
    """Return the sets of the store, and what interrupted preparations left, the latest first; none without a store.

    Raises:
        ConfigError: the store is no folder, or cannot be read.
    """
    folder = store_folder()
    try:
        found = [_stored(path) for path in folder.iterdir() if path.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        law, got = f"the store of prepared data {folder} to be a folder that can be read", str(error.strerror)
        raise violation(law, got, f"correct {ENVIRONMENT}, which names it, or its rights") from None
    return sorted((one for one in found if one is not None), key=lambda one: (-one.prepared_s, one.key))


def is_being_prepared(key: str) -> bool:
    """Whether another process holds the lock of a set; nothing is made where there is no lock."""
    folder = store_folder() / LOCKS / key
    if not (folder / LOCK).exists():
        return False
    try:
        try_lock(folder).close()
    except BlockingIOError:
        return True
    return False


def delete(stored: StoredSet) -> bool:
    """Delete a set whole; False where another process holds its lock, and nothing is done.

    Raises:
        OSError: a file cannot be removed.
    """
    try:
        lock = try_lock(store_folder() / LOCKS / stored.key)
    except BlockingIOError:
        return False
    with lock:
        staged = stored.path.with_name(f"{STAGED}-{stored.key}")
        if staged.exists():
            shutil.rmtree(staged)
        if stored.path.exists():
            stored.path.rename(staged)
            shutil.rmtree(staged)
    return True


def delete_index() -> bool:
    """Delete the index of the files that were read, which names their paths; their hashes are computed again.

    Returns:
        False where another process writes it, and nothing is done.

    Raises:
        OSError: it cannot be removed.
    """
    index = store_folder() / CONTENTS
    if not index.exists():
        return True
    try:
        lock = try_lock(store_folder() / LOCKS / CONTENTS)
    except BlockingIOError:
        return False
    with lock:
        for file in (index, staging_path(index)):
            file.unlink(missing_ok=True)
    return True


def holding(user: str, sets: Sequence[StoredSet]) -> list[tuple[StoredSet, str]]:
    """Return the sets that hold movements of a user or values derived from them, each with the reason.

    A set that does not say whose movements it holds is among them: it may hold theirs, and can be prepared again. Sets
    that are derived from others come first: without its parent one would not show whose movements it is of.
    """
    by_key = {one.key: one for one in sets if not one.is_unfinished}
    reasons = [(one, _reason(user, one, by_key)) for one in sets]
    return sorted(((one, reason) for one, reason in reasons if reason), key=lambda pair: pair[0].parent is None)


def _reason(user: str, stored: StoredSet, by_key: Mapping[str, StoredSet]) -> str:
    """Return why a set holds or may hold something of a user; empty where it does not."""
    if stored.parent is None:
        if stored.users is None:
            return "does not record its users"
        return "holds their movements" if user in stored.users else ""
    parent = by_key.get(stored.parent)
    if parent is None or parent.users is None:
        return "derived from a set that is not there"
    return f"derived from {parent.key}" if user in parent.users else ""


def _stored(path: Path) -> StoredSet | None:
    """Return the set in a folder; None for a folder that is none of the store's sets, and for one that vanishes.

    The store may lie in a folder with other files, which are neither listed nor deleted: the name of a set is a key,
    and it has a manifest, or where that is damaged no other files than those of a set.
    """
    key = path.name.removeprefix(f"{STAGED}-")
    if not KEY.fullmatch(key):
        return None
    file = path / MANIFEST
    try:
        content = _manifest_in(file)
        if content is None:
            return StoredSet(key, path, {}, path.stat().st_mtime) if _holds_no_other_file(path) else None
        return StoredSet(key, path, content, file.stat().st_mtime)
    except FileNotFoundError:
        return None


def _manifest_in(file: Path) -> Mapping[str, Any] | None:
    """Return the content of a manifest; None where it is missing, cannot be read or has another form."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and _fits(content) else None


def _fits(content: Mapping[str, Any]) -> bool:
    """Whether a manifest has arrays with their hashes; what else is read may be missing, but has its type."""
    arrays, movements, names = (content.get(name, {}) for name in ("arrays", "movements", "names"))
    return (
        "arrays" in content
        and all(isinstance(values, dict) for values in (arrays, movements, names))
        and all(isinstance(about, dict) for about in arrays.values())
        and all(isinstance(about.get("sha256"), str) for about in arrays.values())
        and all(isinstance(count, int) for count in movements.values())
        and all(map(_is_texts, (content.get("paths", []), *names.values())))
        and all(isinstance(content.get(name, ""), str) for name in TEXTS)
    )


def _is_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _holds_no_other_file(path: Path) -> bool:
    """Whether a folder has nothing in it that no set has; it may be empty."""
    return all(_is_of_a_set(entry, path) for entry in path.rglob("*"))


def _is_of_a_set(entry: Path, path: Path) -> bool:
    if entry.is_dir():
        return entry.relative_to(path).parts[0] == loading.PARTS
    return entry.suffix == ".npy" or entry in (path / MANIFEST, staging_path(path / MANIFEST))
