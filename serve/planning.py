"""What a job is computed with: its models, its way of sampling and its conditions, or why there can be none."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch

from serve.distributions import DISTRIBUTIONS
from serve.jobs import BadRequestError, Job
from serve.models import Champion, Judge, Models
from trainables.core.config import ConfigError, require
from trainables.data.canonical import RATE_HZ
from trainables.data.config import CONDITION_NAMES, CanonicalConfig
from trainables.diffusion.sampling import SamplingConfig
from trainables.generation.conditions import Conditions

PIXEL_STEPS = 2**21  # of a reply: 4096 movements of 8.5 s at 60 Hz


@dataclass(frozen=True, eq=False)
class Plan:
    """A job with the model that serves it.

    Attributes:
        judge: Of its hardness, if it asks for one.
        form: Of its rows.
        sampling: None where the generator leaves nothing to choose.
        conditions: Of its first n rows.
        at: Its place among the jobs.
        wanted: Whether anybody still waits for it.
    """

    job: Job
    champion: Champion
    judge: Judge | None
    form: CanonicalConfig
    sampling: SamplingConfig | None
    conditions: Conditions
    at: int
    wanted: Callable[[], bool]

    @property
    def group(self) -> Hashable:
        """What shares a pass."""
        alone = self.judge is not None or not self.champion.generator.batch_invariant
        return (self.champion.id, self.form, self.sampling, self.at if alone else -1)


def planned(models: Models, job: Job, at: int, wanted: Callable[[], bool]) -> Plan:
    """The models, settings and conditions of a job.

    Raises:
        ServeError: there is no such model, or it cannot do what is asked.
    """
    champion, judge = models.champions.at(job.model), None
    if job.hardness is not None:
        models.detectors.follow()
        judge = models.detectors.at(job.detector)
    generator = champion.generator
    try:
        form = generator.form_of(job.seq_len or generator.canonical.sequence_length)
        sampling = generator.sampling_with(job.sampling)
        conditions = asked_conditions(job, generator.known, form, job.first, job.n)
        if job.pixels:
            require_few_steps(job, conditions)
    except ConfigError as error:
        raise BadRequestError(str(error)) from None
    return Plan(job, champion, judge, form, sampling, conditions, at, wanted)


def asked_conditions(job: Job, known: Conditions, form: CanonicalConfig, first: int, count: int) -> Conditions:
    """Conditions of the rows [first, first + count) of a job, given or drawn.

    Raises:
        ConfigError: given ones that no movement of the form has, or a target width that the model never met.
    """
    if not job.conditions:
        drawn = DISTRIBUTIONS[job.distribution](known, first + count, job.seed, form.sequence_length)
        return drawn.take(slice(first, None))
    raw = torch.tensor(job.conditions, dtype=torch.float64)
    given = known.given(raw.expand(count, -1) if len(raw) == 1 else raw, job.seed, first)
    given.check(form)
    return given


def require_few_steps(job: Job, conditions: Conditions) -> None:
    """Raise `ConfigError` where the pixels of a reply would be too many: some forms bound no duration."""
    longest = float(conditions.raw[:, CONDITION_NAMES.index("log_duration_s")].exp().max()) * RATE_HZ
    law = f"`n * steps of the longest movement <= {PIXEL_STEPS}` with pixels"
    require(job.n * longest <= PIXEL_STEPS, law, f"n={job.n}, steps={longest:.0f}", "ask for the rest by `first`")
