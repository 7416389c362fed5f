"""Tests of the replicas' handle, for a client and for the ingress: failures are retried or reported as over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray.exceptions import ActorDiedError, GetTimeoutError, ObjectLostError, OwnerDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError

from serve import replicas
from serve.client import HardNegatives
from serve.jobs import Job, QueueFullError, SampleResult, ShortageError, TimedOutError
from serve.patience import RetryPolicy, ServiceError
from serve.replicas import ATTEMPTS, ReplicaBackend, ReplicasLostError
from tests.serve.fakes import CHAMPION, FakeBackend

QUICK = RetryPolicy(attempts=3, first_wait_s=0.001, max_wait_s=0.002)


class Handle:
    """Fake `DeploymentHandle`: `handle.sample_or_error.remote(job).result(timeout_s=...)`; failures come first."""

    def __init__(self, *failures: Exception) -> None:
        self.failures, self.jobs, self.responses = list(failures), list[Job](), list[Response]()
        self.sample_or_error = self.describe = self

    def remote(self, job: Job | None = None) -> "Response":
        self.responses.append(Response(lambda: self.compute(job)))
        return self.responses[-1]

    def compute(self, job: Job | None) -> Any:
        if self.failures:
            return _raised_or_returned(self.failures.pop(0))
        if job is None:
            return asyncio.run(FakeBackend().describe())
        self.jobs.append(job)
        return asyncio.run(FakeBackend().sample(job))


class Response:
    def __init__(self, answer: Callable[[], SampleResult]) -> None:
        self.answer, self.cancelled = answer, False

    def __await__(self) -> Generator[Any, None, SampleResult]:
        return asyncio.to_thread(self.answer).__await__()

    def cancel(self) -> None:
        self.cancelled = True

    def result(self, *, timeout_s: float) -> SampleResult:
        assert timeout_s > 0
        return self.answer()


def _raised_or_returned(failure: Exception) -> Exception:
    """Return an error that a client caused, as a replica does; raise any other."""
    if type(failure) is ShortageError:
        return failure
    raise failure


def in_a_replica(cause: Exception) -> Exception:
    """Return an exception as Ray transfers it from another process."""
    error: Exception = RayTaskError("sample", f"Traceback\n  of many lines\n{cause}", cause).as_instanceof_cause()
    return error


def test_a_handle_gives_the_same_samples_as_the_service() -> None:
    handle = Handle()
    drawn = HardNegatives(handle=handle).fetch(n=5, seed=3, chunk=2)
    whole = asyncio.run(FakeBackend().sample(Job(5, seed=3)))
    assert torch.equal(drawn.deltas, torch.from_numpy(whole.deltas))
    assert [job.model for job in handle.jobs] == ["", CHAMPION, CHAMPION]
    assert drawn.batch_ids == ()
    assert HardNegatives(handle=handle).model()["model"]["id"] == CHAMPION


@pytest.mark.parametrize(
    "failure",
    [
        BackPressureError(num_queued_requests=3, max_queued_requests=3),
        ActorDiedError(),
        in_a_replica(QueueFullError("the queue is full")),
        in_a_replica(KeyError("a bug")),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_failure_that_passes_is_retried_and_one_that_stays_is_one_line(failure: Exception) -> None:
    assert len(HardNegatives(handle=Handle(failure, failure), retry=QUICK).sample(n=2)) == 2
    with pytest.raises(ServiceError, match=r"\(given up after 3 attempts\)$") as exc_info:
        HardNegatives(handle=Handle(*[failure] * 3), retry=QUICK).sample(n=2)
    assert "\n" not in str(exc_info.value)
    assert "Traceback" not in str(exc_info.value)


@pytest.mark.parametrize("failure", [ShortageError("3 of 8"), in_a_replica(ShortageError("3 of 8"))])
def test_a_permanent_error_is_raised_at_once(failure: Exception) -> None:
    handle = Handle(failure)
    with pytest.raises(ServiceError, match=r"^409: 3 of 8$") as exc_info:
        HardNegatives(handle=handle, retry=QUICK).sample(n=8)
    assert exc_info.value.status == 409
    assert not handle.jobs


@pytest.mark.parametrize("late", [TimeoutError("late"), GetTimeoutError("late")], ids=["handle", "object"])
def test_a_timeout_is_cancelled_and_not_retried(late: Exception) -> None:
    handle = Handle(late)
    with pytest.raises(ServiceError, match=r"^no response from the replicas in time \(late\); request fewer rows"):
        HardNegatives(handle=handle, retry=QUICK).sample(n=8)
    assert [response.cancelled for response in handle.responses] == [True]
    with pytest.raises(ServiceError, match=r"^504: too long$"):
        HardNegatives(handle=Handle(TimedOutError("too long")), retry=QUICK).sample(n=8)


def test_a_result_in_time_is_not_cancelled() -> None:
    handle = Handle()
    HardNegatives(handle=handle).sample(n=8)
    assert [response.cancelled for response in handle.responses] == [False]


def lost(kind: type[ObjectLostError]) -> Exception:
    return kind("00", None, "")


LOST = [lambda: lost(ObjectLostError), lambda: lost(OwnerDiedError), ActorDiedError]


@pytest.mark.parametrize("failure", LOST)
def test_the_ingress_resends_a_job_that_was_lost_with_its_replica(failure: Callable[[], Exception]) -> None:
    handle: Any = Handle(failure(), failure())
    drawn = asyncio.run(ReplicaBackend(handle).sample(Job(n=2, seed=1)))
    assert (len(drawn.deltas), len(handle.responses)) == (2, 3)
    handle = Handle(*[failure() for _ in range(ATTEMPTS)])
    with pytest.raises(ReplicasLostError):
        asyncio.run(ReplicaBackend(handle).sample(Job(n=2, seed=1)))


class DescribeHandle:
    """Fake handle whose `describe` waits for `free` and counts its calls."""

    def __init__(self) -> None:
        self.calls, self.free, self.failure = 0, asyncio.Event(), list[Exception]()
        self.describe = self

    async def remote(self) -> dict[str, Any]:
        self.calls += 1
        await self.free.wait()
        if self.failure:
            raise self.failure[0]
        return {"model": {"id": CHAMPION}, "calls": self.calls}


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock; return its seconds, to be changed by the test."""
    seconds = [100.0]
    monkeypatch.setattr(replicas, "time", SimpleNamespace(monotonic=lambda: seconds[0]))  # not that of the loop
    monkeypatch.setattr(replicas, "running", lambda _: 2)
    monkeypatch.setattr(replicas, "DESCRIPTION_WAIT_S", 0.01)
    return seconds


def test_many_callers_share_one_description_per_second(now: list[float]) -> None:
    async def flood() -> None:
        handle: Any = DescribeHandle()
        backend = ReplicaBackend(handle)
        many: list[Awaitable[Any]] = [asyncio.ensure_future(backend.describe()) for _ in range(50)]
        await asyncio.sleep(0.05)
        handle.free.set()
        for state in [*await asyncio.gather(*many), await backend.describe()]:
            assert state == {"model": {"id": CHAMPION}, "calls": 1, "replicas": 2}
        now[0] += 1.5
        assert (await backend.describe())["calls"] == handle.calls == 2

    asyncio.run(flood())


def test_while_no_replica_responds_the_cached_description_is_returned_and_one_query_waits(now: list[float]) -> None:
    async def busy() -> None:
        handle: Any = DescribeHandle()
        backend = ReplicaBackend(handle)
        handle.free.set()
        first = await backend.describe()
        handle.free.clear()
        now[0] += 10.0
        assert [await backend.describe() for _ in range(3)] == [first] * 3
        assert handle.calls == 2
        handle.free.set()
        await asyncio.sleep(0.01)
        assert (await backend.describe())["calls"] == 2

    asyncio.run(busy())


def test_with_full_queues_the_cached_description_is_returned_and_with_lost_replicas_none(now: list[float]) -> None:
    async def failing() -> None:
        handle: Any = DescribeHandle()
        backend = ReplicaBackend(handle)
        handle.free.set()
        handle.failure = [BackPressureError(num_queued_requests=3, max_queued_requests=3)]
        with pytest.raises(QueueFullError):
            await backend.describe()
        now[0] += 2.0
        handle.failure = []
        first = await backend.describe()
        now[0] += 2.0
        handle.failure = [BackPressureError(num_queued_requests=3, max_queued_requests=3)]
        assert await backend.describe() == first
        now[0] += 2.0
        handle.failure = [ActorDiedError()]
        with pytest.raises(ReplicasLostError):
            await backend.describe()

    asyncio.run(failing())
