"""Clients of a measured service: plain HTTP and the project's own, for single requests or a steady load."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import requests

from serve.client import HardNegatives
from serve.formats import HEADERS, decode
from serve.patience import ServiceError
from serve.remote import sampling_s

WITHIN_S = 60.0  # limit of a response, and of whatever else takes seconds on two cores
PAUSE_S = 0.05  # of a client after a failure
OK = 200

Deltas = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TimedResponse:
    """Response to one request, with its times.

    Attributes:
        began, ended: Time of day, seconds; from sending the request to the decoded response.
        status: HTTP status; 0: no response.
        weights: SHA-256 of the model's weights.
        sampling_s: Sampling time reported by the service.
    """

    seed: int
    began: float
    ended: float
    status: int
    weights: str = ""
    deltas: Deltas = field(default_factory=lambda: np.empty(0, np.float32))
    sampling_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Duration of the request."""
        return self.ended - self.began


SendRequest = Callable[[int], TimedResponse]  # by its seed
Client = Callable[[str, Mapping[str, Any]], SendRequest]


def connection() -> requests.Session:
    """Return a new session that ignores the environment."""
    session = requests.Session()
    session.trust_env = False
    return session


def plain_http(url: str, options: Mapping[str, Any]) -> SendRequest:
    """Return a function that sends a request over one connection, without retries."""
    session, form = connection(), options.get("format", "npy")

    def send(seed: int) -> TimedResponse:
        began, body = time.time(), {**options, "format": form, "seed": seed}
        try:
            response = session.post(f"{url}/v1/samples", json=body, timeout=WITHIN_S)
        except requests.RequestException:
            return TimedResponse(seed, began, time.time(), 0)
        if response.status_code != OK:
            return TimedResponse(seed, began, time.time(), response.status_code)
        deltas, headers = decode(response.content, form)[0]["deltas"], response.headers
        weights, sampling = headers[HEADERS["weights_sha256"]], sampling_s(headers["Server-Timing"])
        return TimedResponse(seed, began, time.time(), OK, weights, deltas, sampling)

    return send


def with_retries(url: str, options: Mapping[str, Any]) -> SendRequest:
    """Return a function that sends a request by the project's client, which retries failures that may pass."""
    negatives = HardNegatives(url)

    def send(seed: int) -> TimedResponse:
        began = time.time()
        try:
            samples = negatives.fetch(**options, seed=seed)
        except ServiceError as error:
            return TimedResponse(seed, began, time.time(), error.status)
        return TimedResponse(seed, began, time.time(), OK, samples.weights_sha256, samples.deltas.numpy())

    return send


@dataclass
class Load:
    """Concurrent clients that send requests without a pause until the block ends; client k always requests seed k."""

    url: str
    clients: int
    options: Mapping[str, Any]
    client: Client = plain_http
    responses: list[TimedResponse] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(seed,)) for seed in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def await_responses(self, count: int) -> None:
        """Wait for so many more responses, of any status."""
        wanted = len(self.responses) + count
        until(lambda: len(self.responses) >= wanted, f"{count} responses")

    @property
    def failed(self) -> list[TimedResponse]:
        """Responses without movements."""
        return [response for response in self.responses if response.status != OK]

    def _run(self, seed: int) -> None:
        send = self.client(self.url, self.options)
        while not self._ended.is_set():
            self.responses.append(send(seed))
            if self.responses[-1].status != OK:
                time.sleep(PAUSE_S)


def require_equal(response: TimedResponse, expected: Deltas) -> None:
    """Raise `RuntimeError` where a response differs from the sampler's output: then no time means anything."""
    if response.status != OK or not np.array_equal(response.deltas, expected):
        raise RuntimeError(f"seed {response.seed}: status {response.status}, or other movements than the sampler's")


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds.

    Raises:
        RuntimeError: it does not hold in time.
    """
    ends = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > ends:
            raise RuntimeError(f"{what}: not within {WITHIN_S:g} s")
        time.sleep(0.02)
