"""The client on a handle: what is asked arrives, and each way of failing is hidden or told as over HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError

from serve.client import HardNegatives
from serve.jobs import Drawn, Job, QueueFullError, ShortageError
from serve.patience import Patience, ServiceError
from tests.serve.fakes import CHAMPION, FakeBackend

QUICK = Patience(attempts=3, first_s=0.001, longest_s=0.002)


class Handle:
    """As a `DeploymentHandle`: `handle.answer.remote(job).result(timeout_s=...)`; fails before it answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures, self.jobs = list(failures), list[Job]()
        self.answer = self.describe = self

    def remote(self, job: Job | None = None) -> "Response":
        return Response(lambda: self.compute(job))

    def compute(self, job: Job | None) -> Any:
        if self.failures:
            return _raised_or_returned(self.failures.pop(0))
        if job is None:
            return asyncio.run(FakeBackend().describe())
        self.jobs.append(job)
        return asyncio.run(FakeBackend().sample(job))


class Response:
    def __init__(self, answer: Callable[[], Drawn]) -> None:
        self.answer = answer

    def result(self, *, timeout_s: float) -> Drawn:
        assert timeout_s > 0
        return self.answer()


def _raised_or_returned(failure: Exception) -> Exception:
    """A replica returns what a client did wrong; everything else is raised."""
    if type(failure) is ShortageError:
        return failure
    raise failure


def in_a_replica(cause: Exception) -> Exception:
    """An exception as Ray brings it from another process."""
    error: Exception = RayTaskError("sample", f"Traceback\n  of many lines\n{cause}", cause).as_instanceof_cause()
    return error


def test_a_handle_gives_what_a_service_gives() -> None:
    handle = Handle()
    drawn = HardNegatives(handle=handle).draw(n=5, seed=3, chunk=2)
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
        TimeoutError("late"),
        in_a_replica(QueueFullError("as many wait as may")),
        in_a_replica(KeyError("a fault of ours")),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_failure_for_now_is_hidden_and_one_that_stays_is_one_line(failure: Exception) -> None:
    assert len(HardNegatives(handle=Handle(failure, failure), patience=QUICK).sample(n=2)) == 2
    with pytest.raises(ServiceError, match=r"\(given up after 3 attempts\)$") as caught:
        HardNegatives(handle=Handle(*[failure] * 3), patience=QUICK).sample(n=2)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("failure", [ShortageError("3 of 8"), in_a_replica(ShortageError("3 of 8"))])
def test_a_refusal_ends_at_once(failure: Exception) -> None:
    handle = Handle(failure)
    with pytest.raises(ServiceError, match=r"^409: 3 of 8$") as caught:
        HardNegatives(handle=handle, patience=QUICK).sample(n=8)
    assert caught.value.status == 409
    assert not handle.jobs
