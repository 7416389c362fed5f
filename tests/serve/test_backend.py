"""Tests of the local backend: the same bytes as without it, a bounded queue, a bounded wait, shared batches."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve import backend
from serve import compute as compute_module
from serve.backend import Backend, LocalBackend
from serve.compute import JobResult, compute
from serve.jobs import Job, NoDetectorError, QueueFullError, SampleResult, TimedOutError, UnknownModelError
from serve.models import Models
from tests.serve.published import serving
from trainables.data.readers.recordings import Recording


@pytest.fixture(scope="module")
def models(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Models:
    return serving(tmp_path_factory.mktemp("served"), checkpoint)[0]


async def sampled(served: Backend, jobs: Sequence[Job]) -> list[SampleResult]:
    return await asyncio.gather(*(served.sample(job) for job in jobs))


def test_concurrent_clients_get_the_bytes_that_each_would_get_alone(models: Models) -> None:
    jobs = [Job(1 + seed % 3, seed=seed, seq_len=(64, 51)[seed % 2]) for seed in range(12)]
    served = LocalBackend(models)
    found = asyncio.run(sampled(served, jobs))
    served.close()
    for job, each in zip(jobs, found, strict=True):
        (alone,) = compute(models, [job])
        assert isinstance(alone, SampleResult)
        assert each.deltas.tobytes() == alone.deltas.tobytes()


class Gate:
    """Batches that wait until the gate is open, and the jobs of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[list[Job]] = []
        self.begun, self.open = threading.Event(), threading.Event()

        def gated(models: Models, jobs: Sequence[Job], wanted: Callable[[int], bool]) -> list[JobResult]:
            self.batches.append(list(jobs))
            self.begun.set()
            assert self.open.wait(10.0)
            return compute(models, jobs, wanted)

        monkeypatch.setattr(backend, "compute", gated)


async def sent_while_busy(gate: Gate, served: LocalBackend, jobs: Sequence[Job]) -> list[Any]:
    """Return the results of jobs that arrive while another one is computed."""
    first = asyncio.create_task(served.sample(Job(1)))
    await asyncio.to_thread(gate.begun.wait, 10.0)
    others = [asyncio.create_task(served.sample(job)) for job in jobs]
    await asyncio.sleep(0.05)
    gate.open.set()
    return [await first, *await asyncio.gather(*others, return_exceptions=True)]


def test_jobs_that_arrive_during_a_batch_share_the_next_one_up_to_its_rows(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, jobs = Gate(monkeypatch), [Job(n, seed=n) for n in (4, 5, 2, 30, 1)]
    served = LocalBackend(models, rows=12)
    found = asyncio.run(sent_while_busy(gate, served, jobs))
    served.close()
    assert [[job.n for job in each] for each in gate.batches if each] == [[1], [4, 5, 2], [30], [1]]
    assert [len(each.number) for each in found] == [1, 4, 5, 2, 30, 1]


def test_a_full_queue_refuses_the_next_job_and_computes_the_others(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, served = Gate(monkeypatch), LocalBackend(models, queue=2)
    found = asyncio.run(sent_while_busy(gate, served, [Job(2), Job(3), Job(4)]))
    served.close()
    assert [type(each) for each in found] == [SampleResult, SampleResult, SampleResult, QueueFullError]
    assert "2 requests are waiting" in str(found[-1])
    assert found[-1].retry_after_s > 0


def test_a_job_that_times_out_is_not_computed_any_more(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, served = Gate(monkeypatch), LocalBackend(models, timeout_s=0.1)

    async def late() -> None:
        first = asyncio.create_task(served.sample(Job(1)))
        await asyncio.to_thread(gate.begun.wait, 10.0)
        with pytest.raises(TimedOutError, match=r"not computed within 0.1 s"):
            await served.sample(Job(2, seed=7))
        gate.open.set()
        with pytest.raises(TimedOutError):
            await first

    asyncio.run(late())
    served.close()
    assert [job.n for each in gate.batches for job in each] == [1]
    monkeypatch.undo()
    again = LocalBackend(models)
    assert len(asyncio.run(again.sample(Job(2))).number) == 2
    again.close()


@pytest.mark.parametrize("goes", [False, True], ids=["timeout", "client disconnects"])
def test_a_batch_without_waiting_clients_ends_at_the_next_chunk(
    models: Models, monkeypatch: pytest.MonkeyPatch, goes: bool
) -> None:
    chunks, plain, second, gone = list[int](), compute_module._sampled, threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        chunks.append(len(arguments[2]))
        if len(chunks) > 1:
            second.set()
            gone.wait(60.0)
        return plain(*arguments)

    monkeypatch.setattr(compute_module, "_sampled", slow)
    monkeypatch.setattr(compute_module, "MAX_CHUNK", 1)
    served = LocalBackend(models, timeout_s=60.0 if goes else 1.0)

    async def cancelled() -> None:
        task = asyncio.create_task(served.sample(Job(200, seed=1)))
        if goes:
            await asyncio.to_thread(second.wait, 60.0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError if goes else TimedOutError):
            await task

    asyncio.run(cancelled())
    gone.set()
    served.close()
    assert 1 <= len(chunks) <= 2


def test_errors_of_a_job_are_raised_to_its_client_alone(models: Models) -> None:
    served = LocalBackend(models)

    async def both() -> list[SampleResult | BaseException]:
        jobs = (Job(1), Job(1, model="0009-aaaaaaaaaaaa"))
        return await asyncio.gather(*(served.sample(job) for job in jobs), return_exceptions=True)

    good, bad = asyncio.run(both())
    assert isinstance(good, SampleResult)
    assert isinstance(bad, UnknownModelError)
    at = np.arange(30.0)
    with pytest.raises(NoDetectorError):
        asyncio.run(served.score([Recording(at * 10, at * 5, at, "test", "someone", "one")]))
    served.close()


def test_an_internal_error_reaches_every_waiting_client_and_the_next_job_is_served(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = LocalBackend(models)

    def faulty(*_: object) -> list[JobResult]:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(backend, "compute", faulty)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(served.sample(Job(1)))
    monkeypatch.undo()
    assert len(asyncio.run(served.sample(Job(3))).number) == 3
    served.close()


def test_it_describes_its_models(models: Models) -> None:
    served = LocalBackend(models)
    state = asyncio.run(served.describe())
    served.close()
    assert state["model"]["id"] == models.champions.get().id
    assert set(state["swap"]) == {"wanted", "error", "since"}
    assert (state["swap"]["error"], state["replicas"], state["detector"]) == ("", 1, None)


def test_clients_that_repeat_their_request_at_once_stay_in_one_batch(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch may have one job; from the third on all eight share each, though they arrive one by one."""
    batches = list[int]()

    def slow(models: Models, jobs: Sequence[Job], wanted: Callable[[int], bool]) -> list[JobResult]:
        batches.append(len(jobs))
        time.sleep(0.5)
        return compute(models, jobs, wanted)

    monkeypatch.setattr(backend, "compute", slow)
    monkeypatch.setattr(backend, "MAX_BATCH_WAIT_S", 2.0)
    served = LocalBackend(models, wait_fraction=4.0)

    async def client(number: int) -> None:
        for _ in range(4):
            await served.sample(Job(1, seed=number))
            await asyncio.sleep(0.01 * number)

    async def clients() -> None:
        await asyncio.gather(*(client(number) for number in range(8)))

    asyncio.run(clients())
    served.close()
    assert batches[2:-1] == [8] * len(batches[2:-1])
    assert sum(batches) == 32


def test_a_lone_client_does_not_wait(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    served = LocalBackend(models, wait_fraction=1.0)
    waits = list[float]()
    monkeypatch.setattr(served._lock, "wait", lambda timeout: waits.append(timeout))
    for seed in range(3):
        asyncio.run(served.sample(Job(1, seed=seed)))
    served.close()
    assert waits == []


def test_the_wait_for_requests_is_short_however_long_the_last_batch_took(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, waits = LocalBackend(models, wait_fraction=0.25), list[float]()
    monkeypatch.setattr(served._lock, "wait_for", lambda complete, timeout: waits.append(timeout))
    for last_s in (0.2, 100.0):
        served._expected, served._last_s = 5, last_s
        asyncio.run(served.sample(Job(1)))
    served.close()
    assert waits == pytest.approx([0.05, backend.MAX_BATCH_WAIT_S])
    assert backend.MAX_BATCH_WAIT_S <= 0.1
