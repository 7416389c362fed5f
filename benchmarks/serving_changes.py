"""Promotions and killed processes under load: failed requests, and the time of a hot swap.

A promotion lasts from the change of the registry's link to the last response of the previous champion, over both
replicas. A process is killed with SIGKILL; requests in flight are those that began before and ended after.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.support.clients import (
    OK,
    Client,
    Deltas,
    Load,
    TimedResponse,
    plain_http,
    require_equal,
    until,
    with_retries,
)
from benchmarks.support.service import (
    REPLICA,
    TWO,
    Measurement,
    RunningService,
    Setup,
    altered,
    publish,
    sampled,
    service,
    weights_of,
)
from serve.replicas import COUNT_TTL_S
from trainables.model_registry.registry import CHAMPION, Registry
from trainables.models import load_generator

N, STEPS = 3, 2
SMALL = {"n": N, "steps": STEPS}
SWAPPING, KILLING = 4, 8  # clients
SWAPS, REQUESTS = 5, 1000
LATEST = 40  # responses, of which each replica has some
KILLS = {
    "sampler": plain_http,
    "sampler, our client": with_retries,
    "ingress": plain_http,
    "ingress, our client": with_retries,
}


def swap(setup: Setup) -> list[Measurement]:
    """Measure the seconds of promotions, and the requests that failed meanwhile."""
    storage, moments = setup.storage("swap"), list[float]()
    checkpoints = [setup.checkpoint, altered(setup.checkpoint, setup.folder / "altered")]
    weights, share = [weights_of(each) for each in checkpoints], REQUESTS // (SWAPS + 1) + 1
    with service(storage, *TWO) as served, Load(served.url, SWAPPING, SMALL) as clients:
        for number in range(1, SWAPS + 1):
            clients.await_responses(share)
            publish(storage, checkpoints[number % 2])
            moments.append((Registry.below(storage).path / CHAMPION).lstat().st_ctime)
            until(partial(alone, clients, weights[number % 2]), "responses of the next champion only")
        clients.await_responses(share)
    good = [response for response in clients.responses if response.status == OK]
    seconds = swap_seconds(good, moments, weights)
    expected = {key: references(each) for key, each in zip(weights, checkpoints, strict=True)}
    right = [np.array_equal(each.deltas, expected[each.weights][each.seed]) for each in good]
    return [
        Measurement.over("hot swap, to the last response of the old champion", "s", seconds, "< 2"),
        Measurement("longest hot swap", "s", max(seconds), min(seconds), max(seconds), SWAPS, "< 2"),
        Measurement.count("failed requests meanwhile", len(clients.failed), len(clients.responses), "0"),
        Measurement.count("responses of neither champion meanwhile", right.count(False), len(good), "0"),
    ]


def alone(clients: Load, weights: str) -> bool:
    """Whether the latest responses are of one champion."""
    return {response.weights for response in clients.responses[-LATEST:]} == {weights}


def swap_seconds(responses: Sequence[TimedResponse], moments: Sequence[float], weights: Sequence[str]) -> list[float]:
    """Return the seconds from each promotion to the last response of the previous champion; the champions alternate."""
    spans = [*pairwise([*moments, float("inf")])]
    lasts = [
        max((each.ended for each in responses if begin < each.ended < end and each.weights == old), default=begin)
        for (begin, end), old in zip(spans, [*weights] * len(spans), strict=False)
    ]
    return [last - begin for last, begin in zip(lasts, moments, strict=True)]


def references(checkpoint: Path) -> list[Deltas]:
    """Return the movements that the clients of a load must get, by seed."""
    generator = load_generator(checkpoint)
    return [sampled(generator, N, seed, STEPS) for seed in range(max(SWAPPING, KILLING))]


def kill(setup: Setup) -> list[Measurement]:
    """Measure failed requests and the longest time without a response where a process is killed."""
    expected = references(setup.checkpoint)
    with service(setup.storage("kill"), *TWO) as served:
        return [each for name, client in KILLS.items() for each in killed(served, name, client, expected)]


def killed(served: RunningService, name: str, client: Client, expected: Sequence[Deltas]) -> Iterator[Measurement]:
    """Kill one process under load; yield the measurements."""
    victim = REPLICA + name.partition(",")[0].title()
    with Load(served.url, KILLING, SMALL, client) as clients:
        clients.await_responses(100)
        before, at = served.processes(victim), time.time()
        os.kill(before[0].pid, signal.SIGKILL)
        until(lambda: len({*served.processes(victim)} - {before[0]}) == len(before), "a successor")
        time.sleep(1.0 + COUNT_TTL_S)  # for which the previous number is cached
        until(lambda: served.replicas() == 2, "two replicas")
        clients.await_responses(100)
    good = sorted((each for each in clients.responses if each.status == OK), key=lambda each: each.ended)
    for response in good:
        require_equal(response, expected[response.seed])
    in_flight = sum(each.began <= at <= each.ended for each in clients.responses)
    silent = max(after.ended - one.ended for one, after in pairwise(good))
    target = "0" if client is with_retries else f"<= {in_flight}, in flight" if name == "sampler" else ""
    yield Measurement.count(f"kill -9 of {name}: failed", len(clients.failed), len(clients.responses), target)
    yield Measurement(f"kill -9 of {name}: longest without a response", "s", silent, silent, silent, 1)
