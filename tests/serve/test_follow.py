"""A replica follows the registry: promotions, rollbacks, pins, and what fails for a while."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serve.champions import Champions
from serve.follow import Follower
from serve.jobs import NoChampionError
from tests.serve.published import publish
from trainables.model_registry.publisher import held
from trainables.model_registry.registry import Published, Registry

Followed = Callable[..., tuple[Follower, Champions[Any]]]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.below(tmp_path)


@pytest.fixture
def followed(registry: Registry) -> Iterator[Followed]:
    """Makes a follower, by default one that looks only when it is told to, of champions that are loaded in no time."""
    followers: list[Follower] = []

    def make(
        load: Callable[[Published], Any] = lambda entry: entry, every_s: float = 3600.0, again_s: float = 3600.0
    ) -> tuple[Follower, Champions[Any]]:
        champions: Champions[Any] = Champions(registry, load, NoChampionError, "champion")
        followers.append(Follower(champions, every_s, again_s))
        return followers[-1], champions

    yield make
    for follower in followers:
        follower.stop()


def test_a_promotion_and_a_rollback_are_followed_by_the_thread(
    registry: Registry, followed: Followed, checkpoint: Path, other: Path
) -> None:
    _, champions = followed(every_s=0.01)

    def comes(name: str) -> bool:
        ends = time.monotonic() + 10.0
        while champions.present is None or champions.present.id != name:
            if time.monotonic() > ends:
                return False
            time.sleep(0.01)
        return True

    first = publish(registry, checkpoint)
    assert comes(first)
    assert comes(publish(registry, other))
    with held(registry) as publisher:
        publisher.rollback()
    assert comes(first)


def test_a_registry_that_cannot_be_read_for_a_while_does_not_end_the_thread(
    registry: Registry, followed: Followed, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, plain, failures = publish(registry, checkpoint), Registry.champion_id, list[int]()

    def stale(registry: Registry) -> str | None:
        failures.append(1)
        if len(failures) < 5:
            raise OSError(116, "Stale file handle")
        return plain(registry)

    monkeypatch.setattr(Registry, "champion_id", stale)
    _, champions = followed(every_s=0.01)
    ends = time.monotonic() + 10.0
    while champions.present is None and time.monotonic() < ends:
        time.sleep(0.01)
    assert champions.at().id == first
    assert champions.swapped.error == ""


def test_a_pinned_champion_stays_until_it_is_let_go(
    registry: Registry, followed: Followed, checkpoint: Path, other: Path
) -> None:
    follower, champions = followed()
    first, second = publish(registry, checkpoint), publish(registry, other)
    assert follower.want(first)
    assert follower.look()
    assert champions.at().id == first
    assert follower.want("")
    assert champions.at().id == second


def test_a_champion_that_failed_is_tried_again_after_a_while_and_not_before(
    registry: Registry, followed: Followed, checkpoint: Path, other: Path
) -> None:
    tried, lag = list[str](), True

    def load(entry: Published) -> Published:
        tried.append(entry.id)
        if lag and len(tried) > 1:
            raise OSError("stale file handle")
        return entry

    follower, champions = followed(load, again_s=0.2)
    first = publish(registry, checkpoint)
    assert follower.look()
    second = publish(registry, other)
    for _ in range(5):
        assert not follower.look()
    assert tried == [first, second]
    assert champions.at().id == first
    assert champions.swapped.error == "stale file handle"
    time.sleep(0.25)
    assert not follower.look()
    assert not follower.look()
    assert tried == [first, second, second]
    lag = False
    time.sleep(0.25)
    assert follower.look()
    assert champions.at().id == second
