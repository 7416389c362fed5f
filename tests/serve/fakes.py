"""Fake backend whose numbers follow from the job alone, and a client of the application around it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from serve.api import create_app
from serve.backend import Backend
from serve.jobs import Job, NoDetectorError, SampleResult, ServeError
from serve.settings import ServeConfig
from serve.tokens import Tokens, read_tokens
from trainables.data.config import CONDITION_NAMES
from trainables.data.readers.recordings import Recording

CHAMPION = "0001-aaaaaaaaaaaa"
DETECTOR = "0001-dddddddddddd"
TRAINED_LENGTH = 16


@dataclass
class FakeBackend:
    """Backend without a model; a row is sampled from (seed, number).

    Attributes:
        failure: Raised in place of a result.
        delay_s: Delay of every result.
    """

    champion: str | None = CHAMPION
    scores: float | None = None
    failure: Exception | None = None
    error: str = ""
    delay_s: float = 0.0
    salt: int = 0
    jobs: list[Job] = field(default_factory=list)

    async def sample(self, job: Job) -> SampleResult:
        """Return normal random numbers."""
        self.jobs.append(job)
        await self._ready()
        steps, numbers = job.seq_len or TRAINED_LENGTH, np.arange(job.first, job.first + job.n)
        rows = [np.random.default_rng([self.salt, job.seed, int(number)]).normal(size=(steps, 2)) for number in numbers]
        given = np.array(job.conditions or [(-1.0, 5.0, 0.1, 0.5, np.nan)], dtype=np.float64)
        return SampleResult(
            deltas=np.array(rows, dtype=np.float32),
            length=np.full(job.n, steps, dtype=np.int32),
            condition=np.broadcast_to(given, (job.n, len(CONDITION_NAMES))),
            angle=np.zeros(job.n),
            number=numbers,
            model=job.model or self.champion or "",
            weights_sha256="a" * 64,
            seconds=0.25,
            score=None if job.hardness is None else np.full(job.n, job.hardness[0]),
            steps_px=np.ones((job.n, steps, 2), dtype=np.int32) if job.pixels else None,
            detector=(job.detector or DETECTOR) if job.hardness else "",
        )

    async def score(self, movements: Sequence[Recording]) -> list[float]:
        """Return the same score for all."""
        await self._ready()
        if self.scores is None:
            raise NoDetectorError("no detector published yet")
        return [self.scores] * len(movements)

    async def describe(self) -> dict[str, Any]:
        """Return a description with the given champion and error."""
        await self._ready()
        card = None if self.champion is None else {"id": self.champion, "excess": float("nan")}
        swap = {"wanted": "", "error": self.error, "since": "2026-01-01T00:00:00+00:00"}
        return {"model": card, "swap": swap, "replicas": 1, "detector": None, "detector_swap": swap | {"error": ""}}

    async def _ready(self) -> None:
        await asyncio.sleep(self.delay_s)
        if self.failure is not None:
            raise self.failure


TOKEN = "0123456789abcdef-of-ada"
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}


def tokens() -> Tokens:
    """Return tokens with one name, ada."""
    return read_tokens("", {"HUMOUSE_TOKENS": f"ada={TOKEN}"})


def client_of(
    backend: Backend, storage: Path, known: Tokens | None = None, origin: str = "http://127.0.0.1", **settings: Any
) -> TestClient:
    """Return a client of the application in this process; without `known` it has no tokens."""
    config = ServeConfig(storage_path=str(storage), **settings)
    app = create_app(backend, config, Tokens() if known is None else known)
    return TestClient(app, base_url=origin, raise_server_exceptions=False)


class BusyError(ServeError):
    """The queue is full."""

    status = 503
    retry_after_s = 3
