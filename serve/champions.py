"""Who is served: the present entry of a registry, older ones by their id, and the one place where the present changes.

A new entry is loaded and tried before it takes the place; if anything is wrong with it the old one stays, and
`swapped.error` says why in one line. Whoever asks gets one object and keeps it until the reply is made, so that two
champions never meet in it. Generators and detectors are kept the same way, each in a registry of their own.

These lines reach whoever asks over HTTP: they name files by their place below the storage path.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from serve.jobs import DamagedModelError, ServeError, UnknownModelError
from trainables.model_registry.publisher import now
from trainables.model_registry.registry import HISTORY, ID, Published, Registry, RegistryError

KEPT = 3  # entries in memory: the present one, the one before, and one that a request names
FAILED = 64  # ids that are remembered because they cannot be loaded
FAILED_S = 60.0  # for which they are: a shared storage may lag behind, but no request is to load a checkpoint in vain


class Entry(Protocol):
    """What can be published."""

    @property
    def id(self) -> str:
        """In the registry's history."""


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Swap:
    """The last change that was asked for.

    Attributes:
        wanted: Id; "": the registry's champion.
        error: Why the one before stayed, in one line; "": nothing went wrong.
        since: When, ISO 8601.
    """

    wanted: str = ""
    error: str = ""
    since: str = ""


class Champions(Generic[E]):
    """What a registry has published: one present entry, and a few older ones by their id.

    Args:
        load: Published -> entry, which raises unless it works.
        none: The error where nothing is published.
        what: The entries' name in its message.
    """

    def __init__(self, registry: Registry, load: Callable[[Published], E], none: type[ServeError], what: str) -> None:
        self.registry, self.swapped = registry, Swap()
        self._load, self._none = load, none
        self._nothing = f"no {what}: nothing was published yet"
        self._present: E | None = None
        self._tried = ""
        self._kept: OrderedDict[str, E] = OrderedDict()
        self._failed: OrderedDict[str, tuple[str, float]] = OrderedDict()  # id -> line, time at which it is forgotten
        self._lock, self._changing = threading.Lock(), threading.Lock()

    def swap(self, wanted: str = "") -> bool:
        """Make an entry the present one, by its id or as the registry has it; whether it is now. Never raises."""
        with self._changing:
            return self._swap(wanted)

    def follow(self) -> bool:
        """Swap if the registry has another champion than was tried last; one reading of a link if not. Never raises.

        Who comes while one is loaded waits until it is.
        """
        with self._changing:
            with suppress(RegistryError, OSError):
                if (self.registry.champion_id() or "") == self._tried:
                    return not self.swapped.error
            return self._swap("")

    def at(self, name: str = "") -> E:
        """The entry of an id, the present one without.

        Raises:
            UnknownModelError: there never was one.
            DamagedModelError: it cannot be loaded, or does not work.
            ServeError: nothing is published yet (`none`).
        """
        present = self._present
        if present is not None and name in ("", present.id):
            return present
        if not name:
            raise self._none(self.swapped.error or self._nothing)
        self._require_whole(name)
        try:
            return self._older(name)
        except UnknownModelError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it is no fault of who shares the pass
            raise self._damaged(name, error) from None

    @property
    def present(self) -> E | None:
        """The present entry, if there is one."""
        return self._present

    def _swap(self, wanted: str) -> bool:
        try:
            self._present = self._next(wanted)
            error = ""
        except Exception as problem:  # noqa: BLE001  # whatever is wrong with it, the one before must stay
            error = self._line(problem)
        self.swapped = Swap(wanted, error, now())
        return not error

    def _require_whole(self, name: str) -> None:
        with self._lock:
            line, forgotten = self._failed.get(name, ("", 0.0))
        if time.monotonic() < forgotten:
            raise DamagedModelError(line)

    def _damaged(self, name: str, error: Exception) -> DamagedModelError:
        """An entry's error, which is remembered for a while."""
        line = self._line(error)
        with self._lock:
            self._failed[name] = (line, time.monotonic() + FAILED_S)
            self._failed.move_to_end(name)
            while len(self._failed) > FAILED:
                self._failed.popitem(last=False)
        return DamagedModelError(line)

    def _line(self, error: Exception) -> str:
        """What an error says, in one line and without the place of the storage path."""
        said = str(error).replace(str(self.registry.path), self.registry.path.name)
        return " ".join(said.split()) or type(error).__name__

    def _next(self, wanted: str) -> E:
        name = wanted or self.registry.champion_id() or ""
        self._tried = name
        if not name:
            raise self._none(self._nothing)
        if self._present is not None and self._present.id == name:
            return self._present
        return self._older(name)

    def _older(self, name: str) -> E:
        """An entry by its id, loaded where it is not in memory."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        entry = self._load(published(self.registry, name))
        with self._lock:
            self._failed.pop(name, None)
            self._kept[name] = entry
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return entry


def published(registry: Registry, name: str) -> Published:
    """The entry of an id; only what looks like one ever becomes part of a path.

    Raises:
        UnknownModelError: there is none.
        RegistryError: it is not whole.
    """
    if not ID.fullmatch(name) or not (registry.path / HISTORY / name).is_dir():
        raise UnknownModelError(
            f"{name[:40]!r}: nothing of this id was ever published; `GET /v1/model` names what is served"
        )
    return registry.entry(name)
