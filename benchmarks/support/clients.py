"""Clients of a service that is measured: bare HTTP and the project's own, one question or a steady load of them."""

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

WITHIN_S = 60.0  # for a reply, and for whatever else takes seconds on two cores
PAUSE_S = 0.05  # of a client after a failure
OK = 200

Deltas = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Reply:
    """What came of one request.

    Attributes:
        began, ended: Time of day, seconds; from the question to the decoded reply.
        status: Of HTTP; 0: no reply.
        weights: SHA-256 of whoever drew.
        sampling_s: As the service says.
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
        """Of the request."""
        return self.ended - self.began


Question = Callable[[int], Reply]  # by its seed
Asker = Callable[[str, Mapping[str, Any]], Question]


def connection() -> requests.Session:
    """A connection of its own, with nothing from the environment."""
    made = requests.Session()
    made.trust_env = False
    return made


def bare(url: str, asked: Mapping[str, Any]) -> Question:
    """Asks over one connection, once."""
    kept, form = connection(), asked.get("format", "npy")

    def question(seed: int) -> Reply:
        began, body = time.time(), {**asked, "format": form, "seed": seed}
        try:
            reply = kept.post(f"{url}/v1/samples", json=body, timeout=WITHIN_S)
        except requests.RequestException:
            return Reply(seed, began, time.time(), 0)
        if reply.status_code != OK:
            return Reply(seed, began, time.time(), reply.status_code)
        deltas, told = decode(reply.content, form)[0]["deltas"], reply.headers
        weights, sampling = told[HEADERS["weights_sha256"]], sampling_s(told["Server-Timing"])
        return Reply(seed, began, time.time(), OK, weights, deltas, sampling)

    return question


def patient(url: str, asked: Mapping[str, Any]) -> Question:
    """Asks by the project's client, which asks again where the service fails for now."""
    negatives = HardNegatives(url)

    def question(seed: int) -> Reply:
        began = time.time()
        try:
            samples = negatives.fetch(**asked, seed=seed)
        except ServiceError as error:
            return Reply(seed, began, time.time(), error.status)
        return Reply(seed, began, time.time(), OK, samples.weights_sha256, samples.deltas.numpy())

    return question


@dataclass
class Load:
    """Clients that ask again as soon as they are answered, until the block ends; client k asks for seed k alone."""

    url: str
    clients: int
    asked: Mapping[str, Any]
    asker: Asker = bare
    replies: list[Reply] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(seed,)) for seed in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def answered(self, count: int) -> None:
        """Wait until so many requests more were answered, however."""
        wanted = len(self.replies) + count
        until(lambda: len(self.replies) >= wanted, f"{count} replies")

    @property
    def failed(self) -> list[Reply]:
        """Those without movements."""
        return [reply for reply in self.replies if reply.status != OK]

    def _ask(self, seed: int) -> None:
        question = self.asker(self.url, self.asked)
        while not self._ended.is_set():
            self.replies.append(question(seed))
            if self.replies[-1].status != OK:
                time.sleep(PAUSE_S)


def require_equal(reply: Reply, expected: Deltas) -> None:
    """Raise `RuntimeError` where a reply is not what the sampler draws in this process: then no time means anything."""
    if reply.status != OK or not np.array_equal(reply.deltas, expected):
        raise RuntimeError(f"seed {reply.seed}: status {reply.status}, and not the movements of the sampler")


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something.

    Raises:
        RuntimeError: it does not come.
    """
    ends = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > ends:
            raise RuntimeError(f"{what}: not within {WITHIN_S:g} s")
        time.sleep(0.02)
