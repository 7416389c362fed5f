"""Latency: a slower challenger is detected, an equal one is not, and single disturbances decide nothing."""

import time
from dataclasses import dataclass
from functools import partial
from itertools import product

import pytest
import torch

from platform.promotion.latency import Latency, LatencyConfig, bounding_place
from platform.promotion.timing import measure
from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.splits.loading import load_splits


@dataclass
class Sleeper:
    """A generator that takes its time, and counts its calls."""

    sleep_s: float
    calls: int = 0

    @property
    def canonical(self) -> CanonicalConfig:
        return CanonicalConfig()

    def sample_matching(self, real: Canonical, *, seed: int) -> Canonical:
        self.calls += 1
        assert torch.get_num_threads() == 1
        time.sleep(self.sleep_s)
        return real


def test_the_bounding_place_bounds_the_median_with_the_stated_confidence() -> None:
    """All 2^n ways in which n ratios may lie below or above the median, which are equally likely."""
    for count, confidence in product(range(1, 11), (0.8, 0.95, 0.99)):
        below = [sum(way) for way in product((0, 1), repeat=count)]
        bounds = [k for k in range(1, count + 1) if sum(b < k for b in below) / len(below) >= confidence]
        assert bounding_place(count, confidence) == (bounds[0] if bounds else None)


def test_two_generators_take_turns_on_the_same_movements() -> None:
    conditions, sides = load_splits(DataConfig())["validation"], [Sleeper(0.004), Sleeper(0.001)]
    threads = torch.get_num_threads()
    working = [partial(side.sample_matching, seed=0) for side in sides]
    found = measure(working, conditions, LatencyConfig(movements=2, repeats=5))
    assert [side.calls for side in sides] == [6, 6]
    assert (len(found.challenger), len(found.champion), len(found.ratios)) == (5, 5, 5)
    assert found.challenger_ms >= 2.0
    assert found.ratio_bound(0.95) == max(found.ratios)
    assert torch.get_num_threads() == threads
    alone = measure(working[:1], conditions, LatencyConfig(movements=2, repeats=2))
    assert (alone.ratios, alone.ratio_bound(0.95)) == ((), None)


def test_two_disturbed_turns_of_eleven_do_not_move_the_bound() -> None:
    calm = (1.0,) * 9
    assert Latency((*calm, 50.0, 60.0), (1.0,) * 11).ratio_bound(0.95) == 1.0
    assert Latency((*calm[:8], 40.0, 50.0, 60.0), (1.0,) * 11).ratio_bound(0.95) == 40.0


def test_too_few_turns_for_the_confidence_are_refused() -> None:
    LatencyConfig(repeats=5).require_enough(0.95)
    with pytest.raises(ConfigError, match=r"expected `1 - 2\^-latency.repeats >= confidence` with confidence=0.95"):
        LatencyConfig(repeats=4).require_enough(0.95)
    for wrong in ({"movements": 0}, {"repeats": 0}):
        with pytest.raises(ConfigError, match=r">= 1`, but got"):
            LatencyConfig(**wrong)
