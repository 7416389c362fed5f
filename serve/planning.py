"""Plan of a job: the models, sampler settings and conditions that it is computed with, or why it cannot be."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch

from serve.distributions import DISTRIBUTIONS
from serve.jobs import BadRequestError, Job
from serve.models import Champion, Models, ServedDetector
from trainables.core.config import ConfigError, require
from trainables.data.config import CONDITION_NAMES, RATE_HZ, CanonicalConfig
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.generation.conditions import Conditions

MAX_PIXEL_STEPS = 2**21  # of a response: 4096 movements of 8.5 s at 60 Hz


@dataclass(frozen=True, eq=False)
class JobPlan:
    """Job with the model that serves it.

    Attributes:
        detector: Detector that scores for `hardness`, if the job has one.
        form: Canonical form of its rows.
        sampling: Sampler settings; None where the generator has none.
        conditions: Conditions of its first n rows.
        at: Index among the jobs.
        wanted: Returns whether the client still waits for it.
    """

    job: Job
    champion: Champion
    detector: ServedDetector | None
    form: CanonicalConfig
    sampling: SamplingConfig | None
    conditions: Conditions
    at: int
    wanted: Callable[[], bool]

    @property
    def candidates(self) -> int:
        """Samples that each row costs."""
        return 1 if self.sampling is None else self.sampling.candidates

    @property
    def batch_key(self) -> Hashable:
        """Key that is equal for jobs that can share a batch."""
        alone = self.detector is not None or not self.champion.generator.batch_invariant
        return (self.champion.id, self.form, self.sampling, self.at if alone else -1)


def plan_job(models: Models, job: Job, at: int, wanted: Callable[[], bool]) -> JobPlan:
    """Resolve the models, sampler settings and conditions of a job.

    Raises:
        ServeError: there is no such model, or it does not support the request.
    """
    champion, detector = models.champions.get(job.model), None
    if job.hardness is not None:
        models.detectors.follow()
        detector = models.detectors.get(job.detector)
    generator = champion.generator
    try:
        form = generator.canonical_at(job.seq_len or generator.canonical.sequence_length)
        sampling = generator.sampling_with(job.sampling)
        conditions = conditions_of_rows(job, generator.training_conditions, form, job.first, job.n)
        generator.require_selectable(conditions, sampling)
        if job.pixels:
            require_few_steps(job, conditions)
    except ConfigError as error:
        raise BadRequestError(str(error)) from None
    return JobPlan(job, champion, detector, form, sampling, conditions, at, wanted)


def conditions_of_rows(job: Job, known: Conditions, form: CanonicalConfig, first: int, count: int) -> Conditions:
    """Return the conditions of the rows [first, first + count) of a job, given or sampled.

    Raises:
        ConfigError: no movement of the form can have given ones, the model was trained without target widths, or not on
            the source.
    """
    known = known.of_source(job.source) if job.source else known
    if not job.conditions:
        sampled = DISTRIBUTIONS[job.distribution](known, first + count, job.seed, form.sequence_length)
        return sampled.take(slice(first, None))
    raw = torch.tensor(job.conditions, dtype=torch.float64)
    given = known.given(raw.expand(count, -1) if len(raw) == 1 else raw, job.seed, first)
    given.check(form)
    return given


def require_few_steps(job: Job, conditions: Conditions) -> None:
    """Raise `ConfigError` where a response would hold too many pixel steps: some forms do not bound the duration."""
    longest = float(conditions.raw[:, CONDITION_NAMES.index("log_duration_s")].exp().max()) * RATE_HZ
    law = f"`n * steps of the longest movement <= {MAX_PIXEL_STEPS}` with pixels"
    remedy = "request the rest with `first`"
    require(job.n * longest <= MAX_PIXEL_STEPS, law, f"n={job.n}, steps={longest:.0f}", remedy)
