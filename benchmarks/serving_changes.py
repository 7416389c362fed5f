"""What the service stands while it answers: promotions, and processes that die.

A promotion takes from the moment when the registry's link names the next champion to the last reply of the one before,
over both replicas. A process is killed with SIGKILL; requests in flight are those that began before and ended after.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.support.clients import OK, Asker, Deltas, Load, Reply, bare, patient, require_equal, until
from benchmarks.support.service import (
    REPLICA,
    TWO,
    Figure,
    Service,
    Stage,
    altered,
    drawn,
    publish,
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
LATEST = 40  # replies, of which each replica has some
KILLS = {"sampler": bare, "sampler, our client": patient, "ingress": bare, "ingress, our client": patient}


def swap(stage: Stage) -> list[Figure]:
    """Seconds of promotions, and what became of the requests meanwhile."""
    storage, moments = stage.storage("swap"), list[float]()
    checkpoints = [stage.checkpoint, altered(stage.checkpoint, stage.folder / "altered")]
    weights, share = [weights_of(each) for each in checkpoints], REQUESTS // (SWAPS + 1) + 1
    with service(storage, *TWO) as served, Load(served.url, SWAPPING, SMALL) as clients:
        for number in range(1, SWAPS + 1):
            clients.answered(share)
            publish(storage, checkpoints[number % 2])
            moments.append((Registry.below(storage).path / CHAMPION).lstat().st_ctime)
            until(partial(alone, clients, weights[number % 2]), "the next champion answers alone")
        clients.answered(share)
    good = [reply for reply in clients.replies if reply.status == OK]
    seconds = taken(good, moments, weights)
    expected = {key: references(each) for key, each in zip(weights, checkpoints, strict=True)}
    right = [np.array_equal(reply.deltas, expected[reply.weights][reply.seed]) for reply in good]
    return [
        Figure.over("hot swap, to the last reply of the old champion", "s", seconds, "< 2"),
        Figure("longest hot swap", "s", max(seconds), min(seconds), max(seconds), SWAPS, "< 2"),
        Figure.count("failed requests meanwhile", len(clients.failed), len(clients.replies), "0"),
        Figure.count("replies of neither champion meanwhile", right.count(False), len(good), "0"),
    ]


def alone(clients: Load, weights: str) -> bool:
    """Whether the latest replies are of one champion."""
    return {reply.weights for reply in clients.replies[-LATEST:]} == {weights}


def taken(replies: Sequence[Reply], moments: Sequence[float], weights: Sequence[str]) -> list[float]:
    """Seconds from each promotion to the last reply of the champion before it; the champions alternate."""
    spans = [*pairwise([*moments, float("inf")])]
    lasts = [
        max((reply.ended for reply in replies if begin < reply.ended < end and reply.weights == old), default=begin)
        for (begin, end), old in zip(spans, [*weights] * len(spans), strict=False)
    ]
    return [last - begin for last, begin in zip(lasts, moments, strict=True)]


def references(checkpoint: Path) -> list[Deltas]:
    """What the clients of a load are to get, by their seeds."""
    generator = load_generator(checkpoint)
    return [drawn(generator, N, seed, STEPS) for seed in range(max(SWAPPING, KILLING))]


def kill(stage: Stage) -> list[Figure]:
    """Failed requests where a process dies, and the longest time without a reply."""
    expected = references(stage.checkpoint)
    with service(stage.storage("kill"), *TWO) as served:
        return [figure for name, asker in KILLS.items() for figure in killed(served, name, asker, expected)]


def killed(served: Service, name: str, asker: Asker, expected: Sequence[Deltas]) -> Iterator[Figure]:
    """Of one death."""
    victim = REPLICA + name.partition(",")[0].title()
    with Load(served.url, KILLING, SMALL, asker) as clients:
        clients.answered(100)
        before, at = served.processes(victim), time.time()
        os.kill(before[0].pid, signal.SIGKILL)
        until(lambda: len({*served.processes(victim)} - {before[0]}) == len(before), "a successor")
        time.sleep(1.0 + COUNT_TTL_S)  # for which the number before is believed
        until(lambda: served.replicas() == 2, "two replicas")
        clients.answered(100)
    good = sorted((reply for reply in clients.replies if reply.status == OK), key=lambda reply: reply.ended)
    for reply in good:
        require_equal(reply, expected[reply.seed])
    flying = sum(reply.began <= at <= reply.ended for reply in clients.replies)
    silent = max(after.ended - one.ended for one, after in pairwise(good))
    asked = "0" if asker is patient else f"<= {flying}, in flight" if name == "sampler" else ""
    yield Figure.count(f"kill -9 of {name}: failed", len(clients.failed), len(clients.replies), asked)
    yield Figure(f"kill -9 of {name}: longest without a reply", "s", silent, silent, silent, 1)
