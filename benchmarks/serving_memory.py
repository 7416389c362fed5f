"""Whether the service's processes grow: a mixed load for some minutes, and what the kernel says of their memory.

Four clients ask without a pause for 1 to 256 movements in every format, for earlier batches again, for the model, and
for what is refused. RSS counts the pages of Ray's shared store that a process has touched, so that what belongs to the
process alone (`own`, RSS less shared pages) is told apart. After the warm-up, which takes the first third, each half
minute gives a median, and the slope is that of Theil and Sen over these, with its 95 % interval; it takes the medians
for independent of each other.
"""

import random
import statistics
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
import requests
from scipy.stats import theilslopes

from benchmarks.support.clients import OK, WITHIN_S, connection
from benchmarks.support.service import REPLICA, TWO, Figure, Service, Stage, service
from serve.formats import FORMATS, HEADERS

WATCHED = {
    "ingress": f"{REPLICA}Ingress",
    "sampler": f"{REPLICA}Sampler",
    "proxy": "ray::ProxyActor",
    "controller": "ray::ServeController",
}
CLIENTS = 4
EVERY_S = 2.0
BLOCK_S = 30.0
WARM_UP = 1 / 3
REFUSED: Sequence[tuple[int, dict[str, Any]]] = (  # with the status that it is to have
    (422, {"n": 0}),
    (422, {"n": 1_000_000}),
    (422, {"n": 1, "sed": 7}),
    (422, {"n": 1, "conditions": [[0.0, 1.0]]}),
    (404, {"n": 1, "model": "9999-000000000000"}),
)


@dataclass
class Mixed:
    """One client.

    Attributes:
        ended: (what was asked, whether its status was the right one) -> how often.
    """

    url: str
    seed: int
    ended: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random, self._kept = random.Random(self.seed), connection()
        self._batches: deque[str] = deque(maxlen=64)
        self._kinds = {"samples": self._samples, "again": self._again, "refused": self._refused, "model": self._model}

    def run(self, until: float) -> None:
        """Ask until a moment of the monotonic clock."""
        while time.monotonic() < until:
            kind = self._random.choices([*self._kinds], weights=(70, 10, 15, 5))[0]
            try:
                right = self._kinds[kind]()
            except requests.RequestException:
                right = False
            self.ended[kind, right] += 1

    def _samples(self) -> bool:
        chosen = self._random
        reply = self._post(
            {
                "n": chosen.randint(1, 256),
                "seed": chosen.randrange(2**31),
                "steps": chosen.choice((1, 2, 4)),
                "seq_len": chosen.choice((0, 100, 200)),
                "format": chosen.choice([*FORMATS]),
            }
        )
        if reply.status_code == OK:
            self._batches.append(reply.headers[HEADERS["batch_id"]])
        return reply.status_code == OK

    def _again(self) -> bool:
        if not self._batches:
            return self._samples()
        path = f"{self.url}/v1/samples/{self._random.choice(self._batches)}"
        return self._kept.get(path, timeout=WITHIN_S).status_code == OK

    def _refused(self) -> bool:
        status, body = self._random.choice(REFUSED)
        return self._post(body).status_code == status

    def _model(self) -> bool:
        path = self._random.choice(("/v1/model", "/v1/health", "/v1/metrics", "/"))
        return self._kept.get(self.url + path, timeout=WITHIN_S).status_code == OK

    def _post(self, body: Mapping[str, Any]) -> requests.Response:
        return self._kept.post(f"{self.url}/v1/samples", json=body, timeout=WITHIN_S)


def memory(stage: Stage) -> list[Figure]:
    """Of every process: MiB in the first and the last half minute after the warm-up, and the slope in between."""
    with service(stage.storage("memory"), *TWO) as served:
        until = time.monotonic() + 60 * stage.minutes
        clients = [Mixed(served.url, seed) for seed in range(CLIENTS)]
        threads = [threading.Thread(target=client.run, args=(until,)) for client in clients]
        for thread in threads:
            thread.start()
        rows = watched(served, until)
        for thread in threads:
            thread.join()
    ended = sum((client.ended for client in clients), Counter[tuple[str, bool]]())
    wrong = sum(count for (_, right), count in ended.items() if not right)
    figures = [Figure.count("mixed load: requests with another status than due", wrong, ended.total(), "0")]
    for name in rows[0][1]:
        figures += grown(name, [(at, mib[name]) for at, mib in rows if name in mib])
    return figures


def watched(served: Service, until: float) -> list[tuple[float, dict[str, float]]]:
    """(minutes, name of a process and kind of its memory -> MiB), every so often."""
    processes = {
        f"{role} {number}": process
        for role, title in WATCHED.items()
        for number, process in enumerate(served.processes(title), start=1)
    }
    rows, began = list[tuple[float, dict[str, float]]](), time.monotonic()
    while time.monotonic() < until:
        mib = {f"{name}, {kind}": value for name, each in processes.items() for kind, value in _mib(each).items()}
        rows.append(((time.monotonic() - began) / 60, mib))
        time.sleep(EVERY_S)
    return rows


def _mib(process: psutil.Process) -> dict[str, float]:
    found = process.memory_info()
    return {"RSS": found.rss / 2**20, "own": (found.rss - found.shared) / 2**20}


def grown(name: str, rows: Sequence[tuple[float, float]]) -> list[Figure]:
    """The figures of one process from (minutes, MiB)."""
    warm = [(at, mib) for at, mib in rows if at >= WARM_UP * rows[-1][0]]
    blocks: dict[int, list[tuple[float, float]]] = {}
    for at, mib in warm:
        blocks.setdefault(int((at - warm[0][0]) * 60 / BLOCK_S), []).append((at, mib))
    at, mib = np.array(
        [[statistics.median(column) for column in zip(*each, strict=True)] for each in blocks.values()]
    ).T
    slope = theilslopes(mib, at)
    return [
        Figure(f"{name}: growth; first, last", "MiB", mib[-1] - mib[0], mib[0], mib[-1], len(warm)),
        Figure(f"{name}: slope, 95 %", "MiB/min", slope.slope, slope.low_slope, slope.high_slope, len(mib)),
    ]
