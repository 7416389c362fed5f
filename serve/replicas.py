"""Backend of the ingress: one deployment handle, behind which Ray Serve picks a sampler replica for each request.

A job holds everything that decides its bytes, so a job that was lost with a replica is simply sent again. The models
are described at most once a second, however many clients ask, so probes take no place in the queue of the samples.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from ray import serve
from ray.exceptions import ObjectLostError, RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from serve.jobs import Job, QueueFullError, SampleResult, ServeError
from trainables.data.readers.recordings import Recording

ATTEMPTS = 3
DESCRIPTION_TTL_S = 1.0  # time for which a description is cached
DESCRIPTION_WAIT_S = 1.0  # time to wait for a new one before the cached one is returned
COUNT_TTL_S = 2.0  # time for which the number of replicas is cached
FULL = "the request queue is full; retry in a second"


class ReplicasLostError(ServeError):
    """Every replica that got the request died before it responded."""

    status = 503
    retry_after_s = 1


class ReplicaBackend:
    """`Backend` that sends each request to a replica."""

    def __init__(self, sampler: DeploymentHandle[Any]) -> None:
        self._sampler = sampler
        self._description: dict[str, Any] | None = None
        self._query: asyncio.Task[dict[str, Any]] | None = None  # shared by all who wait
        self._queried = 0.0
        self._count, self._counted = 0, -COUNT_TTL_S

    async def sample(self, job: Job) -> SampleResult:
        """Sample the rows of a job; see `Backend.sample`."""
        result: SampleResult = await self._call("sample_or_error", job)
        return result

    async def score(self, movements: Sequence[Recording]) -> list[float]:
        """Return the scores of recorded movements; see `Backend.score`."""
        scores: list[float] = await self._call("score_or_error", movements)
        return scores

    async def describe(self) -> dict[str, Any]:
        """Return what `Backend.describe` does; the cached description where the replicas are too busy to respond."""
        return {**await self._described(), "replicas": await self._running()}

    async def _described(self) -> dict[str, Any]:
        if self._query is None or (self._query.done() and time.monotonic() - self._queried > DESCRIPTION_TTL_S):
            self._query, self._queried = asyncio.create_task(self._call("describe")), time.monotonic()
            self._query.add_done_callback(self._cache)
        query = asyncio.shield(self._query)  # a client that disconnects leaves it to the others
        if self._description is None:
            return await query
        try:
            return await asyncio.wait_for(query, DESCRIPTION_WAIT_S)
        except (QueueFullError, TimeoutError):
            return self._description

    def _cache(self, query: "asyncio.Task[dict[str, Any]]") -> None:
        if not query.cancelled() and query.exception() is None:
            self._description = query.result()

    async def _call(self, method: str, *arguments: Any) -> Any:
        """Return the result of a method of a replica.

        Raises:
            ServeError: the replica's own, or that no replica could be reached.
        """
        for _ in range(ATTEMPTS):
            try:
                result = await getattr(self._sampler, method).remote(*arguments)
            except BackPressureError:
                raise QueueFullError(FULL) from None
            except DeploymentUnavailableError:
                break
            except (RayActorError, ObjectLostError):
                continue
            if isinstance(result, ServeError):
                raise result
            return result
        raise ReplicasLostError("the replicas died before they responded; retry")

    async def _running(self) -> int:
        if time.monotonic() - self._counted > COUNT_TTL_S:
            self._count, self._counted = await asyncio.to_thread(running, self._sampler), time.monotonic()
        return self._count


def running(sampler: DeploymentHandle[Any]) -> int:
    """Return the number of running replicas of a deployment."""
    found = serve.status().applications[sampler.app_name].deployments[sampler.deployment_name].replica_states
    return sum(count for state, count in found.items() if state == "RUNNING")
