"""Tests of the registry watcher: promotions, rollbacks, pins, and failures that pass."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from serve import follow
from serve.champions import RegistryModels
from serve.follow import RegistryWatcher
from serve.jobs import NoChampionError
from tests.serve.published import publish
from trainables.model_registry.publisher import lock_registry
from trainables.model_registry.registry import Published, Registry

WITHIN_S = 60.0  # limit of what takes milliseconds
Watched = Callable[..., tuple[RegistryWatcher, RegistryModels[Any]]]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.below(tmp_path)


@pytest.fixture
def watched(registry: Registry) -> Iterator[Watched]:
    """Make a watcher, by default one that polls only by `poll()`, of models that are loaded without delay."""
    watchers: list[RegistryWatcher] = []

    def make(
        load: Callable[[Published], Any] = lambda entry: entry, poll_s: float = 3600.0, retry_s: float = 3600.0
    ) -> tuple[RegistryWatcher, RegistryModels[Any]]:
        champions: RegistryModels[Any] = RegistryModels(registry, load, NoChampionError, "champion")
        watchers.append(RegistryWatcher(champions, poll_s, retry_s))
        return watchers[-1], champions

    yield make
    for watcher in watchers:
        watcher.stop()


def test_the_thread_follows_a_promotion_and_a_rollback(
    registry: Registry, watched: Watched, checkpoint: Path, other: Path
) -> None:
    _, champions = watched(poll_s=0.01)

    def comes(name: str) -> bool:
        ends = time.monotonic() + WITHIN_S
        while champions.current is None or champions.current.id != name:
            if time.monotonic() > ends:
                return False
            time.sleep(0.01)
        return True

    first = publish(registry, checkpoint)
    assert comes(first)
    assert comes(publish(registry, other))
    with lock_registry(registry) as publisher:
        publisher.rollback()
    assert comes(first)


def test_a_registry_that_cannot_be_read_for_a_while_does_not_stop_the_thread(
    registry: Registry, watched: Watched, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, plain, failures = publish(registry, checkpoint), Registry.champion_id, list[int]()

    def stale(registry: Registry) -> str | None:
        failures.append(1)
        if len(failures) < 5:
            raise OSError(116, "Stale file handle")
        return plain(registry)

    monkeypatch.setattr(Registry, "champion_id", stale)
    _, champions = watched(poll_s=0.01)
    ends = time.monotonic() + WITHIN_S
    while champions.current is None and time.monotonic() < ends:
        time.sleep(0.01)
    assert champions.get().id == first
    assert champions.last_swap.error == ""


def test_a_pinned_champion_stays_until_it_is_unpinned(
    registry: Registry, watched: Watched, checkpoint: Path, other: Path
) -> None:
    watcher, champions = watched()
    first, second = publish(registry, checkpoint), publish(registry, other)
    assert watcher.pin(first)
    assert watcher.poll()
    assert champions.get().id == first
    assert watcher.pin("")
    assert champions.get().id == second


def test_a_failed_swap_is_retried_after_a_while_and_not_before(
    registry: Registry, watched: Watched, checkpoint: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, lag = list[str](), True

    def load(entry: Published) -> Published:
        tried.append(entry.id)
        if lag and len(tried) > 1:
            raise OSError("stale file handle")
        return entry

    now = [100.0]
    monkeypatch.setattr(follow, "time", SimpleNamespace(monotonic=lambda: now[0]))
    watcher, champions = watched(load, retry_s=5.0)
    first = publish(registry, checkpoint)
    assert watcher.poll()
    second = publish(registry, other)
    for _ in range(5):
        assert not watcher.poll()
    assert tried == [first, second]
    assert champions.get().id == first
    assert champions.last_swap.error == "stale file handle"
    now[0] += 5.0
    assert not watcher.poll()
    assert not watcher.poll()
    assert tried == [first, second, second]
    lag = False
    now[0] += 5.0
    assert watcher.poll()
    assert champions.get().id == second
