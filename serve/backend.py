"""Backend interface of the application, and a backend that computes in a thread of this process.

The application does not use Ray: it is given a backend. In a cluster that is `serve.replicas.ReplicaBackend`; here it
is a thread, for the replicas themselves and for tests, benchmarks and notebooks.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from serve.compute import JobResult, compute
from serve.jobs import Job, QueueFullError, SampleResult, ServeError, TimedOutError
from serve.models import Models
from serve.scoring import score
from trainables.data.readers.recordings import Recording

R = TypeVar("R")
MAX_BATCH_WAIT_S = 0.1  # for more requests: clients that repeat at once are there by then, however long a batch takes


class Backend(Protocol):
    """Computes jobs; every method raises `ServeError` with the HTTP status and message of a failure."""

    async def sample(self, job: Job) -> SampleResult:
        """Sample the rows of a job.

        Raises:
            BadRequestError: the model does not support the request.
            UnknownModelError, NoChampionError, NoDetectorError, ShortageError: see there.
            QueueFullError, TimedOutError: the service is overloaded.
        """

    async def score(self, movements: Sequence[Recording]) -> list[float]:
        """Return the published detector's probability of a bot for each recorded movement.

        Raises:
            NoDetectorError: no detector is published.
            BadRequestError: a movement is too short, or has no canonical form for another reason.
            QueueFullError, TimedOutError: the service is overloaded.
        """

    async def describe(self) -> dict[str, Any]:
        """Return the model cards, and the state of the last swaps.

        Returns:
            "model": the champion's card, or None where there is none; "swap": {"wanted": id or "" (the registry's
            champion), "error": "" or one line, "since": time of the last swap, ISO 8601}; "replicas": how many
            compute; "detector": the detector's card, or None; "detector_swap": as "swap", of the detector.
        """


class LocalBackend:
    """Backend with one worker thread; requests that arrive while it computes share the next batch.

    A job whose client timed out or disconnected is cancelled at the next chunk of rows.

    Args:
        models: Models whose champion was loaded by `champions.swap`.
        rows: Rows of a batch at most; a larger job has a batch of its own.
        queue: Jobs that may wait.
        timeout_s: Time until a result.
        wait_fraction: Fraction of the last batch's time that the next one may wait, at most `MAX_BATCH_WAIT_S`, until
            it has as many requests. Without this wait, clients that repeat their request at once fall into two
            alternating batches, the first of a single request. A lone client never waits.
    """

    def __init__(
        self, models: Models, rows: int = 512, queue: int = 64, timeout_s: float = 300.0, wait_fraction: float = 0.25
    ) -> None:
        self.models, self._rows, self._queue = models, rows, queue
        self._timeout_s, self._wait_fraction = timeout_s, wait_fraction
        self._expected, self._last_s = 0, 0.0
        self._waiting: deque[tuple[Job, Future[JobResult]]] = deque()
        self._lock, self._worker = threading.Condition(), ThreadPoolExecutor(1, "compute")

    async def sample(self, job: Job) -> SampleResult:
        """Sample the rows of a job; see `Backend.sample`."""
        future: Future[JobResult] = Future()
        with self._lock:
            self._require_room()
            self._waiting.append((job, future))
            self._lock.notify_all()
        self._worker.submit(self._run_batch)
        result = await self._within_timeout(future)
        if isinstance(result, ServeError):
            raise result
        return result

    async def score(self, movements: Sequence[Recording]) -> list[float]:
        """Return the scores of recorded movements; see `Backend.score`."""
        with self._lock:
            self._require_room()
        return await self._within_timeout(self._worker.submit(score, self.models, movements))

    async def describe(self) -> dict[str, Any]:
        """Return the model cards and the last swaps; see `Backend.describe`."""
        return {**await asyncio.to_thread(self.models.describe), "replicas": 1}

    def close(self) -> None:
        """Finish the running batch and cancel the rest."""
        self._worker.shutdown(cancel_futures=True)

    def _require_room(self) -> None:
        if len(self._waiting) >= self._queue:
            raise QueueFullError(f"the queue is full: {self._queue} requests are waiting; retry in a moment")

    async def _within_timeout(self, future: Future[R]) -> R:
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._timeout_s)
        except TimeoutError:
            raise TimedOutError(f"not computed within {self._timeout_s:g} s; request fewer rows or steps") from None

    def _run_batch(self) -> None:
        """Compute one batch of the waiting jobs; a call whose job went with an earlier batch finds nothing."""
        self._wait_for_requests()
        taken = [(job, future) for job, future in self._take() if not future.cancelled()]
        if not taken:
            return
        began = time.monotonic()
        try:
            results = compute(self.models, [job for job, _ in taken], lambda at: not taken[at][1].cancelled())
        except Exception as error:  # noqa: BLE001  # a bug: every waiting client gets the error
            for _, future in taken:
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)
            return
        with self._lock:
            self._expected, self._last_s = len(taken) + len(self._waiting), time.monotonic() - began
        for (_, future), result in zip(taken, results, strict=True):
            if future.set_running_or_notify_cancel():
                future.set_result(result)

    def _wait_for_requests(self) -> None:
        with self._lock:
            if self._waiting:
                self._lock.wait_for(self._complete, min(self._wait_fraction * self._last_s, MAX_BATCH_WAIT_S))

    def _complete(self) -> bool:
        full = sum(job.samples for job, _ in self._waiting) >= self._rows
        return full or len(self._waiting) >= self._expected

    def _take(self) -> list[tuple[Job, Future[JobResult]]]:
        """Take from the front of the queue as many jobs as fit into a batch, at least one."""
        with self._lock:
            taken, rows = list[tuple[Job, Future[JobResult]]](), 0
            while self._waiting and (not taken or rows + self._waiting[0][0].samples <= self._rows):
                taken.append(self._waiting.popleft())
                rows += taken[-1][0].samples
            return taken
