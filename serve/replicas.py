"""The samplers as the ingress sees them: one handle, behind which Ray Serve picks a replica for each request.

A job holds everything that decides its bytes, so one that a dying replica took with it is simply asked again. What is
served is asked for once a second at most, whoever wants to know it: probes take no place in the queue of the samples.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from ray import serve
from ray.exceptions import ObjectLostError, RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from serve.jobs import Drawn, Job, QueueFullError, ServeError
from trainables.data.recordings import Recording

ATTEMPTS = 3
FRESH_S = 1.0  # for which a description is believed
PROBE_S = 1.0  # until an older one is told in place of one that does not come
COUNTED_S = 2.0  # for which a number of replicas is believed
FULL = "as many requests wait as may (`queue`); ask again in a second"


class ReplicasLostError(ServeError):
    """Every replica that was asked ended before it answered."""

    status = 503
    retry_after_s = 1


class Replicas:
    """A backend of `serve.api`."""

    def __init__(self, sampler: DeploymentHandle[Any]) -> None:
        self._sampler = sampler
        self._state: dict[str, Any] | None = None
        self._look: asyncio.Task[dict[str, Any]] | None = None  # all who ask wait for one
        self._looked = 0.0
        self._count, self._counted = 0, -COUNTED_S

    async def sample(self, job: Job) -> Drawn:
        """See `Backend.sample`."""
        drawn: Drawn = await self._asked("answer", job)
        return drawn

    async def score(self, movements: Sequence[Recording]) -> list[float]:
        """See `Backend.score`."""
        scores: list[float] = await self._asked("verdict", movements)
        return scores

    async def describe(self) -> dict[str, Any]:
        """See `Backend.describe`; what was true before where too much waits for a replica to answer in a second."""
        return {**await self._described(), "replicas": await self._running()}

    async def _described(self) -> dict[str, Any]:
        if self._look is None or (self._look.done() and time.monotonic() - self._looked > FRESH_S):
            self._look, self._looked = asyncio.create_task(self._asked("describe")), time.monotonic()
            self._look.add_done_callback(self._note)
        look = asyncio.shield(self._look)  # who goes away leaves it to the others
        if self._state is None:
            return await look
        try:
            return await asyncio.wait_for(look, PROBE_S)
        except (QueueFullError, TimeoutError):
            return self._state

    def _note(self, look: "asyncio.Task[dict[str, Any]]") -> None:
        if not look.cancelled() and look.exception() is None:
            self._state = look.result()

    async def _asked(self, method: str, *arguments: Any) -> Any:
        """What a replica answers.

        Raises:
            ServeError: the replica's own, or that none could be asked.
        """
        for _ in range(ATTEMPTS):
            try:
                answer = await getattr(self._sampler, method).remote(*arguments)
            except BackPressureError:
                raise QueueFullError(FULL) from None
            except DeploymentUnavailableError:
                break
            except (RayActorError, ObjectLostError):
                continue
            if isinstance(answer, ServeError):
                raise answer
            return answer
        raise ReplicasLostError("the replicas that were asked ended before they answered; ask again")

    async def _running(self) -> int:
        if time.monotonic() - self._counted > COUNTED_S:
            self._count, self._counted = await asyncio.to_thread(running, self._sampler), time.monotonic()
        return self._count


def running(sampler: DeploymentHandle[Any]) -> int:
    """How many replicas of a deployment compute."""
    found = serve.status().applications[sampler.app_name].deployments[sampler.deployment_name].replica_states
    return sum(count for state, count in found.items() if state == "RUNNING")
