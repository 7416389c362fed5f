"""Sampler replica: loads the models in one process, computes the jobs of the ingress, and watches the registry.

This module does not use Ray; `serve.app` deploys the class. The event loop stays free: one thread computes, another
swaps the champion. Errors that a client may have caused are returned rather than raised, so that a replica's log holds
only the service's own errors.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from serve.backend import LocalBackend
from serve.follow import RegistryWatcher
from serve.jobs import Job, SampleResult, ServeError
from serve.models import Models
from serve.settings import ServeConfig
from trainables.data.readers.recordings import Recording

MAX_ONGOING = 64  # requests inside one replica, from which batches are formed; Ray's default of 5 would bound them


class Sampler:
    """Samples and scores with the registry's champion, or a pinned one."""

    def __init__(self, settings: ServeConfig) -> None:
        torch.set_num_threads(settings.replicas.threads)  # never restored: the process is the replica's own
        models = Models.below(settings.storage_path)
        models.champions.swap(settings.champion)
        batch = settings.batch
        self._backend = LocalBackend(models, batch.rows, MAX_ONGOING, settings.timeout_s, batch.wait_fraction)
        self._champions, self._detectors = RegistryWatcher(models.champions), RegistryWatcher(models.detectors)

    async def reconfigure(self, user_config: Mapping[str, Any]) -> None:
        """Swap to the champion that `{"champion": ID}` names, with "" to the registry's.

        It never raises, for that would end the replica: `describe` returns the error of a failed swap.
        """
        await asyncio.to_thread(self._champions.pin, str(user_config.get("champion", "")))

    async def sample(self, job: Job) -> SampleResult:
        """Sample the rows of a job; see `Backend.sample`."""
        return await self._backend.sample(job)

    async def score(self, movements: Sequence[Recording]) -> list[float]:
        """Return the scores of recorded movements; see `Backend.score`."""
        return await self._backend.score(movements)

    async def describe(self) -> dict[str, Any]:
        """Return the model cards and the last swaps; see `Backend.describe`."""
        return await self._backend.describe()

    async def sample_or_error(self, job: Job) -> SampleResult | ServeError:
        """Return the samples of a job, or the error in their place."""
        try:
            return await self._backend.sample(job)
        except ServeError as error:
            return error

    async def score_or_error(self, movements: Sequence[Recording]) -> list[float] | ServeError:
        """Return the detector's scores, or the error in their place."""
        try:
            return await self._backend.score(movements)
        except ServeError as error:
            return error
