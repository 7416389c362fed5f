"""Computes jobs in batches: jobs that can share network calls do, and each gets the bytes that it would get alone.

Jobs of one champion, length and sampler are sampled in one batch over all their rows; each row has its own seed and
number. Where the last bits of a generator depend on the batch, its jobs are sampled one by one. So are jobs with a
hardness, which scan an unknown number of rows, and the jobs of a batch in which sampling diverged, so that one bad
request fails alone.

Before every chunk of rows the batch is cancelled if no client waits for it any more.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from serve.jobs import (
    ROWS_PER_SEED,
    BadRequestError,
    Job,
    SampleResult,
    ServeError,
    ShortageError,
    TimedOutError,
)
from serve.models import Models, ServedDetector
from serve.planning import JobPlan, conditions_of_rows, plan_job
from serve.scoring import scored
from trainables.data.canonical import Canonical, concatenate, decode, with_deltas
from trainables.diffusion.samplers import SamplingDivergedError
from trainables.generation.conditions import Conditions

SCANNED_PER_ROW = 32  # samples, candidates included, that a hardness may scan per requested row
MIN_SCANNED = 512  # samples that it may scan in any case
MIN_CHUNK = 64  # samples that are scanned at once at least: half a network call
MAX_CHUNK = 512  # samples, candidates included, between two checks whether a client still waits
DIVERGED = "sampling diverged to NaN or infinity under these conditions and settings; use less extreme ones"

JobResult = SampleResult | ServeError


@dataclass(frozen=True, eq=False)
class SampledRows:
    """Sampled rows of one job; deltas are float64, `score` is set where rows were selected by a detector."""

    conditions: Conditions
    canonical: Canonical
    number: Int[Tensor, "N"]
    score: Float[Tensor, "N"] | None = None

    def take(self, rows: Int[Tensor, "M"]) -> "SampledRows":
        """Return the rows at the indices `rows`, in that order."""
        score = None if self.score is None else self.score[rows]
        return SampledRows(self.conditions.take(rows), self.canonical.take(rows), self.number[rows], score)


def compute(models: Models, jobs: Sequence[Job], wanted: Callable[[int], bool] = lambda at: True) -> list[JobResult]:
    """Return the samples of each job, or its error; the result of a job does not depend on the others.

    Args:
        wanted: Index of a job -> whether its client still waits; a batch without any is a `TimedOutError`.
    """
    results: dict[int, JobResult] = {}
    groups: dict[Hashable, list[JobPlan]] = defaultdict(list)
    for at, job in enumerate(jobs):
        try:
            plan = plan_job(models, job, at, partial(wanted, at))
            groups[plan.batch_key].append(plan)
        except ServeError as error:
            results[at] = error
    for plans in groups.values():
        results |= {plan.at: result for plan, result in zip(plans, _results(plans), strict=True)}
    return [results[at] for at in range(len(jobs))]


def _results(plans: Sequence[JobPlan]) -> list[JobResult]:
    """Return the results of jobs that share a batch."""
    began = time.perf_counter()
    try:
        found = [_selected(plans[0], plans[0].detector)] if plans[0].detector else _batch(plans)
    except SamplingDivergedError:
        if len(plans) == 1:
            return [BadRequestError(DIVERGED)]
        return [result for plan in plans for result in _results([plan])]
    except ServeError as error:
        return [error] * len(plans)  # of a hardness, which is alone, or of plans none of which is wanted
    seconds = time.perf_counter() - began
    return [_result(plan, rows, seconds) for plan, rows in zip(plans, found, strict=True)]


def _batch(plans: Sequence[JobPlan]) -> list[SampledRows]:
    """Sample the rows of several jobs in one batch.

    Raises:
        TimedOutError: no client waits any more.
        SamplingDivergedError: the network output is NaN or infinite.
    """
    sizes = [plan.job.n for plan in plans]
    conditions = Conditions.joined([plan.conditions for plan in plans])
    number = torch.cat([torch.arange(plan.job.first, plan.job.first + plan.job.n) for plan in plans])
    seeds = [plan.job.seed for plan in plans for _ in range(plan.job.n)]
    chunks = list[SampledRows]()
    for mine in torch.arange(len(number)).split(max(MAX_CHUNK // plans[0].candidates, 1)):
        _raise_if_cancelled(plans)
        given = [seeds[row] for row in mine.tolist()]
        chunks.append(_sampled(plans[0], conditions.take(mine), number[mine], given))
    rows = _joined(chunks)
    return [rows.take(mine) for mine in torch.arange(len(number)).split(sizes)] if len(plans) > 1 else [rows]


def _raise_if_cancelled(plans: Sequence[JobPlan]) -> None:
    if not any(plan.wanted() for plan in plans):
        raise TimedOutError("cancelled: the client disconnected or timed out")


def _sampled(plan: JobPlan, conditions: Conditions, number: Int[Tensor, "N"], seeds: Sequence[int]) -> SampledRows:
    """Sample rows with these seeds and numbers, by the model and the settings of a plan."""
    generator, frame = plan.champion.generator, conditions.frame(plan.form)
    z = generator.rows(conditions, frame, [*zip(seeds, number.tolist(), strict=True)], plan.sampling)
    return SampledRows(conditions, with_deltas(frame, generator.statistics.denormalise(z, frame)), number)


def _selected(plan: JobPlan, detector: ServedDetector) -> SampledRows:
    """Return the first n rows, from the job's first one on, whose score lies inside the requested hardness.

    Raises:
        ShortageError: too few of the rows that may be scanned.
        TimedOutError: the client does not wait any more.
        SamplingDivergedError: the network output is NaN or infinite.
    """
    job, parts, kept = plan.job, list[SampledRows](), 0
    low, high = job.hardness or (0.0, 1.0)
    most = max(max(SCANNED_PER_ROW * job.n, MIN_SCANNED) // plan.candidates, job.n)
    end, start = min(job.first + most, ROWS_PER_SEED), job.first
    while kept < job.n and start < end:
        _raise_if_cancelled([plan])
        stop = min(start + max(min(max(job.n - kept, MIN_CHUNK), MAX_CHUNK) // plan.candidates, 1), end)
        rows = _sampled_and_scored(plan, detector, start, stop)
        assert rows.score is not None
        inside = ((rows.score >= low) & (rows.score <= high)).nonzero().squeeze(1)
        parts.append(rows.take(inside[: job.n - kept]))
        kept, start = kept + len(parts[-1].number), stop
    if kept < job.n:
        raise ShortageError(
            f"only {kept} of the {start - job.first} rows from number {job.first} on have a score in "
            f"`hardness` [{low:g}, {high:g}], but n={job.n} were requested; request fewer, or a wider range"
        )
    return _joined(parts)


def _sampled_and_scored(plan: JobPlan, detector: ServedDetector, start: int, stop: int) -> SampledRows:
    """Sample rows [start, stop) and score them after the observation model; NaN where that yields no movement."""
    job, number = plan.job, torch.arange(start, stop)
    conditions = conditions_of_rows(job, plan.champion.generator.training_conditions, plan.form, start, stop - start)
    rows = _sampled(plan, conditions, number, [job.seed] * len(number))
    return replace(rows, score=scored(detector, decode(rows.canonical, plan.form)))


def _joined(parts: Sequence[SampledRows]) -> SampledRows:
    """Concatenate sets of rows; all of them have scores, or none has."""
    if len(parts) == 1:
        return parts[0]
    conditions = Conditions.joined([part.conditions for part in parts])
    scores = [part.score for part in parts if part.score is not None]
    number = torch.cat([part.number for part in parts])
    canonical = concatenate(*(part.canonical for part in parts))
    return SampledRows(conditions, canonical, number, torch.cat(scores) if scores else None)


def _result(plan: JobPlan, rows: SampledRows, seconds: float) -> JobResult:
    """Return the result of a job as numpy arrays, or an error where its values do not fit their types."""
    canonical, detector = rows.canonical, plan.detector
    steps_px = decode(canonical, plan.form).steps_px if plan.job.pixels else None
    deltas = canonical.deltas.float()
    fits = steps_px is None or bool((steps_px.abs() < 2**31).all())
    if not (fits and bool(deltas.isfinite().all())):
        return BadRequestError(DIVERGED)
    return SampleResult(
        deltas=deltas.numpy(),
        length=canonical.mask.sum(dim=1).to(torch.int32).numpy(),
        condition=rows.conditions.raw.double().contiguous().numpy(),
        angle=canonical.angle.numpy(),
        number=rows.number.numpy(),
        model=plan.champion.id,
        weights_sha256=plan.champion.weights_sha256,
        seconds=seconds,
        score=None if rows.score is None else rows.score.numpy(),
        steps_px=None if steps_px is None else steps_px.numpy().astype(np.int32),
        detector="" if detector is None else detector.id,
    )
