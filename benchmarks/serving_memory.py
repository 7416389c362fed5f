"""Memory growth of the service's processes under a mixed load of some minutes, as the kernel reports it.

Four clients request without a pause 1 to 256 movements in every format, earlier batches, the model, and what is
refused. RSS counts the pages of Ray's shared store that a process has touched, so the memory of the process alone
(`own`, RSS less shared pages) is reported separately. After the warm-up, which takes the first third, each half minute
gives a median; the slope over these is the Theil-Sen estimate with its 95 % interval, which assumes that the medians
are independent.
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
from benchmarks.support.service import REPLICA, TWO, Measurement, RunningService, Setup, service
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
REFUSED: Sequence[tuple[int, dict[str, Any]]] = (  # with the expected status
    (422, {"n": 0}),
    (422, {"n": 1_000_000}),
    (422, {"n": 1, "sed": 7}),
    (422, {"n": 1, "conditions": [[0.0, 1.0]]}),
    (404, {"n": 1, "model": "9999-000000000000"}),
)


@dataclass
class MixedClient:
    """Client that sends requests of several kinds.

    Attributes:
        counts: (kind of request, whether its status was the expected one) -> number of requests.
    """

    url: str
    seed: int
    counts: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random, self._session = random.Random(self.seed), connection()
        self._batches: deque[str] = deque(maxlen=64)
        self._kinds = {"samples": self._samples, "again": self._again, "refused": self._refused, "model": self._model}

    def run(self, until: float) -> None:
        """Send requests until a time of the monotonic clock."""
        while time.monotonic() < until:
            kind = self._random.choices([*self._kinds], weights=(70, 10, 15, 5))[0]
            try:
                right = self._kinds[kind]()
            except requests.RequestException:
                right = False
            self.counts[kind, right] += 1

    def _samples(self) -> bool:
        chosen = self._random
        response = self._post(
            {
                "n": chosen.randint(1, 256),
                "seed": chosen.randrange(2**31),
                "steps": chosen.choice((1, 2, 4)),
                "seq_len": chosen.choice((0, 48, 60)),
                "format": chosen.choice([*FORMATS]),
            }
        )
        if response.status_code == OK:
            self._batches.append(response.headers[HEADERS["batch_id"]])
        return response.status_code == OK

    def _again(self) -> bool:
        if not self._batches:
            return self._samples()
        path = f"{self.url}/v1/samples/{self._random.choice(self._batches)}"
        return self._session.get(path, timeout=WITHIN_S).status_code == OK

    def _refused(self) -> bool:
        status, body = self._random.choice(REFUSED)
        return self._post(body).status_code == status

    def _model(self) -> bool:
        path = self._random.choice(("/v1/model", "/v1/health", "/v1/metrics", "/"))
        return self._session.get(self.url + path, timeout=WITHIN_S).status_code == OK

    def _post(self, body: Mapping[str, Any]) -> requests.Response:
        return self._session.post(f"{self.url}/v1/samples", json=body, timeout=WITHIN_S)


def memory(setup: Setup) -> list[Measurement]:
    """Measure, for every process, MiB in the first and the last half minute after the warm-up, and the slope."""
    with service(setup.storage("memory"), *TWO) as served:
        until = time.monotonic() + 60 * setup.minutes
        clients = [MixedClient(served.url, seed) for seed in range(CLIENTS)]
        threads = [threading.Thread(target=client.run, args=(until,)) for client in clients]
        for thread in threads:
            thread.start()
        rows = watched(served, until)
        for thread in threads:
            thread.join()
    counts = sum((client.counts for client in clients), Counter[tuple[str, bool]]())
    wrong = sum(count for (_, right), count in counts.items() if not right)
    found = [Measurement.count("mixed load: requests with an unexpected status", wrong, counts.total(), "0")]
    for name in rows[0][1]:
        found += growth(name, [(at, mib[name]) for at, mib in rows if name in mib])
    return found


def watched(served: RunningService, until: float) -> list[tuple[float, dict[str, float]]]:
    """Return (minutes, process and kind of memory -> MiB) at regular intervals."""
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


def growth(name: str, rows: Sequence[tuple[float, float]]) -> list[Measurement]:
    """Return the growth and the slope of one process from (minutes, MiB)."""
    warm = [(at, mib) for at, mib in rows if at >= WARM_UP * rows[-1][0]]
    blocks: dict[int, list[tuple[float, float]]] = {}
    for at, mib in warm:
        blocks.setdefault(int((at - warm[0][0]) * 60 / BLOCK_S), []).append((at, mib))
    at, mib = np.array(
        [[statistics.median(column) for column in zip(*each, strict=True)] for each in blocks.values()]
    ).T
    slope = theilslopes(mib, at)
    return [
        Measurement(f"{name}: growth; first, last", "MiB", mib[-1] - mib[0], mib[0], mib[-1], len(warm)),
        Measurement(f"{name}: slope, 95 %", "MiB/min", slope.slope, slope.low_slope, slope.high_slope, len(mib)),
    ]
