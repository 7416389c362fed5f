"""Hot swap: the current model of a registry, an LRU cache of older ones, and the only place where the current changes.

A new entry is loaded and tried before it becomes current; if anything is wrong with it the old one stays, and
`last_swap.error` holds the reason in one line. A caller gets one object and keeps it until its response is made, so no
response mixes two champions. Generators and detectors are handled alike, each in a registry of their own.

The error lines are sent to HTTP clients: they name files relative to the storage path.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from serve.jobs import DamagedModelError, ServeError, UnknownModelError
from trainables.core.formatting import now
from trainables.model_registry.registry import HISTORY, ID, Published, Registry, RegistryError

CACHE_SIZE = 3  # models in memory: the current one, the one before, and one that a request names
FAILURES = 64  # ids that are remembered because they could not be loaded
FAILURE_TTL_S = 60.0  # time that they are: shared storage may lag behind, but no request is to load a model in vain


class LoadedModel(Protocol):
    """Model in memory that came from a registry entry."""

    @property
    def id(self) -> str:
        """Id in the history of the registry."""


M = TypeVar("M", bound=LoadedModel)


@dataclass(frozen=True)
class Swap:
    """State of the last swap.

    Attributes:
        wanted: Id; "": the registry's champion.
        error: Reason why the previous model stayed, in one line; "": the swap succeeded.
        since: Time of the swap, ISO 8601.
    """

    wanted: str = ""
    error: str = ""
    since: str = ""


class RegistryModels(Generic[M]):
    """Models of a registry: the current one, and a few older ones by id.

    Args:
        load: Registry entry -> model; it raises unless the model works.
        missing: Error class where nothing is published.
        noun: Name of the models in its message.
    """

    def __init__(
        self, registry: Registry, load: Callable[[Published], M], missing: type[ServeError], noun: str
    ) -> None:
        self.registry, self.last_swap = registry, Swap()
        self._load, self._missing = load, missing
        self._none_published = f"no {noun} published yet"
        self._current: M | None = None
        self._tried = ""
        self._cache: OrderedDict[str, M] = OrderedDict()
        self._failures: OrderedDict[str, tuple[str, float]] = OrderedDict()  # id -> error line, time of its expiry
        self._lock, self._swapping = threading.Lock(), threading.Lock()

    def swap(self, wanted: str = "") -> bool:
        """Make a model current, by id or the registry's champion; return whether it is now. Never raises."""
        with self._swapping:
            return self._swap(wanted)

    def follow(self) -> bool:
        """Swap if the registry names another champion than was tried last; return whether all is well. Never raises.

        Without a change it costs one reading of a link. A caller waits for a load that is under way.
        """
        with self._swapping:
            with suppress(RegistryError, OSError):
                if (self.registry.champion_id() or "") == self._tried:
                    return not self.last_swap.error
            return self._swap("")

    def get(self, name: str = "") -> M:
        """Return the model with an id, or the current one.

        Raises:
            UnknownModelError: no entry has this id.
            DamagedModelError: the model cannot be loaded, or does not work.
            ServeError: nothing is published yet (`missing`).
        """
        current = self._current
        if current is not None and name in ("", current.id):
            return current
        if not name:
            raise self._missing(self.last_swap.error or self._none_published)
        self._raise_if_failed(name)
        try:
            return self._loaded(name)
        except UnknownModelError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it must not fail the rest of the batch
            raise self._remembered(name, error) from None

    @property
    def current(self) -> M | None:
        """The current model, if there is one."""
        return self._current

    def _swap(self, wanted: str) -> bool:
        try:
            self._current = self._next(wanted)
            error = ""
        except Exception as problem:  # noqa: BLE001  # whatever is wrong with it, the previous model must stay
            error = self._line(problem)
        self.last_swap = Swap(wanted, error, now())
        return not error

    def _raise_if_failed(self, name: str) -> None:
        with self._lock:
            line, expiry = self._failures.get(name, ("", 0.0))
        if time.monotonic() < expiry:
            raise DamagedModelError(line)

    def _remembered(self, name: str, error: Exception) -> DamagedModelError:
        """Return the error of a model as one of ours, and remember it for a while."""
        line = self._line(error)
        with self._lock:
            self._failures[name] = (line, time.monotonic() + FAILURE_TTL_S)
            self._failures.move_to_end(name)
            while len(self._failures) > FAILURES:
                self._failures.popitem(last=False)
        return DamagedModelError(line)

    def _line(self, error: Exception) -> str:
        """Return the message of an error in one line, without the absolute storage path."""
        message = str(error).replace(str(self.registry.path), self.registry.path.name)
        return " ".join(message.split()) or type(error).__name__

    def _next(self, wanted: str) -> M:
        name = wanted or self.registry.champion_id() or ""
        self._tried = name
        if not name:
            raise self._missing(self._none_published)
        if self._current is not None and self._current.id == name:
            return self._current
        return self._loaded(name)

    def _loaded(self, name: str) -> M:
        """Return the model with an id, from the cache or loaded into it."""
        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
                return self._cache[name]
        model = self._load(entry_of(self.registry, name))
        with self._lock:
            self._failures.pop(name, None)
            self._cache[name] = model
            while len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return model


def entry_of(registry: Registry, name: str) -> Published:
    """Return the registry entry with an id; only a well-formed id ever becomes part of a path.

    Raises:
        UnknownModelError: there is none.
        RegistryError: the entry is incomplete.
    """
    if not ID.fullmatch(name) or not (registry.path / HISTORY / name).is_dir():
        raise UnknownModelError(f"{name[:40]!r}: unknown model id; `GET /v1/model` returns the current one")
    return registry.entry(name)
