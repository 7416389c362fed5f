"""Who computes what HTTP asks for: the interface, and one backend in this very process.

The application knows nothing of Ray: it is given a backend. In a cluster that is a handle of the replicas; here it is a
thread, for tests, benchmarks and notebooks.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from serve.compute import Answer, compute
from serve.jobs import Drawn, Job, QueueFullError, ServeError, TimedOutError
from serve.models import Models
from serve.scoring import score
from trainables.data.recordings import Recording

R = TypeVar("R")
LONGEST_WAIT_S = 0.1  # for company: clients who ask again at once are there by then, however long their pass took


class Backend(Protocol):
    """Computes jobs; every method raises `ServeError` with what HTTP is to say."""

    async def sample(self, job: Job) -> Drawn:
        """The rows of a job.

        Raises:
            BadRequestError: the model cannot do what is asked.
            UnknownModelError, NoChampionError, NoDetectorError, ShortageError: see there.
            QueueFullError, TimedOutError: too much is asked at once.
        """

    async def score(self, movements: Sequence[Recording]) -> list[float]:
        """The published detector's probability of a bot for each recorded movement.

        Raises:
            NoDetectorError: none is published.
            BadRequestError: a movement that is too short, or otherwise none of the canonical form.
            QueueFullError, TimedOutError: too much is asked at once.
        """

    async def describe(self) -> dict[str, Any]:
        """Who is served, and whether a change of the champion failed.

        Returns:
            "model": the champion's card, or None where there is none; "swap": {"wanted": id or "" (the registry's
            champion), "error": "" or one line, "since": time of the last change, ISO 8601}; "replicas": how many
            compute; "detector": the detector's card, or None; "detector_swap": as "swap", of the detector.
        """


class LocalBackend:
    """Computes in one thread; what came in while it computed shares the next pass.

    A job that nobody waits for any more, because its time is up or its client has gone, is given up at the next round.

    Args:
        models: Whose champion was brought by `champions.swap`.
        rows: Of a pass, at most; a larger job has one of its own.
        queue: Jobs that may wait.
        timeout_s: Until an answer.
        patience: Share of the last pass's time that the next one may wait, `LONGEST_WAIT_S` at most, until everyone
            is there who was then. Without it clients who ask again as soon as they are answered fall into two shifts,
            the first of a single one. A lone client never waits.
    """

    def __init__(
        self, models: Models, rows: int = 512, queue: int = 64, timeout_s: float = 300.0, patience: float = 0.25
    ) -> None:
        self.models, self._rows, self._queue = models, rows, queue
        self._timeout_s, self._patience = timeout_s, patience
        self._expected, self._last_s = 0, 0.0
        self._waiting: deque[tuple[Job, Future[Answer]]] = deque()
        self._lock, self._worker = threading.Condition(), ThreadPoolExecutor(1, "compute")

    async def sample(self, job: Job) -> Drawn:
        """The rows of a job; see `Backend.sample`."""
        future: Future[Answer] = Future()
        with self._lock:
            self._require_room()
            self._waiting.append((job, future))
            self._lock.notify_all()
        self._worker.submit(self._drain)
        answer = await self._in_time(future)
        if isinstance(answer, ServeError):
            raise answer
        return answer

    async def score(self, movements: Sequence[Recording]) -> list[float]:
        """The scores of recorded movements; see `Backend.score`."""
        with self._lock:
            self._require_room()
        return await self._in_time(self._worker.submit(score, self.models, movements))

    async def describe(self) -> dict[str, Any]:
        """What is served; see `Backend.describe`."""
        return {**await asyncio.to_thread(self.models.describe), "replicas": 1}

    def close(self) -> None:
        """Finish what has begun, and nothing else."""
        self._worker.shutdown(cancel_futures=True)

    def _require_room(self) -> None:
        if len(self._waiting) >= self._queue:
            raise QueueFullError(f"{self._queue} requests wait already; ask again in a moment")

    async def _in_time(self, future: Future[R]) -> R:
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._timeout_s)
        except TimeoutError:
            raise TimedOutError(f"not computed within {self._timeout_s:g} s; ask for fewer rows or steps") from None

    def _drain(self) -> None:
        """One pass over what waits; the turns of jobs that went with an earlier one find nothing."""
        self._await_company()
        taken = [(job, future) for job, future in self._take() if not future.cancelled()]
        if not taken:
            return
        began = time.monotonic()
        try:
            answers = compute(self.models, [job for job, _ in taken], lambda at: not taken[at][1].cancelled())
        except Exception as error:  # noqa: BLE001  # a fault of ours: whoever waits is told
            for _, future in taken:
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)
            return
        with self._lock:
            self._expected, self._last_s = len(taken) + len(self._waiting), time.monotonic() - began
        for (_, future), answer in zip(taken, answers, strict=True):
            if future.set_running_or_notify_cancel():
                future.set_result(answer)

    def _await_company(self) -> None:
        with self._lock:
            if self._waiting:
                self._lock.wait_for(self._complete, min(self._patience * self._last_s, LONGEST_WAIT_S))

    def _complete(self) -> bool:
        full = sum(job.n for job, _ in self._waiting) >= self._rows
        return full or len(self._waiting) >= self._expected

    def _take(self) -> list[tuple[Job, Future[Answer]]]:
        """From the front of the queue as many as have room in a pass, at least one."""
        with self._lock:
            taken, rows = list[tuple[Job, Future[Answer]]](), 0
            while self._waiting and (not taken or rows + self._waiting[0][0].n <= self._rows):
                taken.append(self._waiting.popleft())
                rows += taken[-1][0].n
            return taken
