"""A replica: the models in one process, which computes what the ingress hands over, and follows the registry.

Nothing of Ray stands here; `serve.app` deploys the class. The event loop is left free: one thread computes, another
changes the champion. What a client may have done wrong is returned and not raised, so that a replica's log holds the
service's own errors alone.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from serve.backend import LocalBackend
from serve.follow import Follower
from serve.jobs import Drawn, Job, ServeError
from serve.models import Models
from serve.settings import ServeConfig
from trainables.data.recordings import Recording

ONGOING = 64  # requests inside one replica: what a pass can be made of; Ray's default of 5 would bound it


class Sampler:
    """Draws and scores with the champion that is wanted: the registry's, or a pinned one."""

    def __init__(self, settings: ServeConfig) -> None:
        torch.set_num_threads(settings.replicas.threads)  # for good: the process is the replica's own
        models = Models.below(settings.storage_path)
        models.champions.swap(settings.champion)
        batch = settings.batch
        self._backend = LocalBackend(models, batch.rows, ONGOING, settings.timeout_s, batch.patience)
        self._follower, self._detectors = Follower(models.champions), Follower(models.detectors)

    async def reconfigure(self, user_config: Mapping[str, Any]) -> None:
        """Change to the champion that `{"champion": ID}` names, with "" to the registry's.

        It never raises, for that would end the replica: what is wrong with the change stands in `describe`.
        """
        await asyncio.to_thread(self._follower.want, str(user_config.get("champion", "")))

    async def sample(self, job: Job) -> Drawn:
        """The rows of a job; see `Backend.sample`."""
        return await self._backend.sample(job)

    async def score(self, movements: Sequence[Recording]) -> list[float]:
        """See `Backend.score`."""
        return await self._backend.score(movements)

    async def describe(self) -> dict[str, Any]:
        """See `Backend.describe`."""
        return await self._backend.describe()

    async def answer(self, job: Job) -> Drawn | ServeError:
        """The rows of a job, or why there are none."""
        try:
            return await self._backend.sample(job)
        except ServeError as error:
            return error

    async def verdict(self, movements: Sequence[Recording]) -> list[float] | ServeError:
        """The detector's scores, or why there are none."""
        try:
            return await self._backend.score(movements)
        except ServeError as error:
            return error
