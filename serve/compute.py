"""From jobs to drawn rows: those that can share network calls do, and each gets the bytes that it would get alone.

Jobs of one champion, length and way of sampling are drawn in one pass over all their rows; each row has its own seed
and number. Where a generator's last bits depend on what is computed together, its jobs are drawn one by one. So are
jobs that ask for a hardness, which cannot know beforehand how many rows they look through, and the jobs of a pass in
which the network diverged, so that one bad request fails alone.

Before every round of rows it is asked whether anybody still waits for them.
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

from serve.jobs import ROWS_OF_A_SEED, BadRequestError, Drawn, Job, ServeError, ShortageError, TimedOutError
from serve.models import Judge, Models
from serve.planning import Plan, asked_conditions, planned
from serve.scoring import scored
from trainables.data.canonical import Canonical, concatenate, decode, with_deltas
from trainables.diffusion.samplers import SamplingDivergedError
from trainables.generation.conditions import Conditions

LOOKED_THROUGH = 32  # rows per asked one that a hardness may cost
LEAST_LOOKED_THROUGH = 512
ROUND = 64  # rows that are looked through at least at a time: half a network call
LONGEST_ROUND = 512  # rows between two questions whether anybody still waits
DIVERGED = "the network gives NaN or infinity under these conditions and settings; ask for less extreme ones"

Answer = Drawn | ServeError


@dataclass(frozen=True, eq=False)
class Rows:
    """Drawn rows of one job; the deltas are float64, the score is the detector's where rows were chosen by it."""

    conditions: Conditions
    canonical: Canonical
    number: Int[Tensor, "N"]
    score: Float[Tensor, "N"] | None = None

    def take(self, rows: Int[Tensor, "M"]) -> "Rows":
        """The rows at `rows`, in that order."""
        score = None if self.score is None else self.score[rows]
        return Rows(self.conditions.take(rows), self.canonical.take(rows), self.number[rows], score)


def compute(models: Models, jobs: Sequence[Job], wanted: Callable[[int], bool] = lambda at: True) -> list[Answer]:
    """What was drawn for each job, or why nothing was; a job's answer does not depend on the others.

    Args:
        wanted: Place among the jobs -> whether anybody still waits for it; a pass without any is a `TimedOutError`.
    """
    answers: dict[int, Answer] = {}
    groups: dict[Hashable, list[Plan]] = defaultdict(list)
    for at, job in enumerate(jobs):
        try:
            plan = planned(models, job, at, partial(wanted, at))
            groups[plan.group].append(plan)
        except ServeError as error:
            answers[at] = error
    for plans in groups.values():
        answers |= {plan.at: answer for plan, answer in zip(plans, _answers(plans), strict=True)}
    return [answers[at] for at in range(len(jobs))]


def _answers(plans: Sequence[Plan]) -> list[Answer]:
    """Of jobs that share a pass."""
    begun = time.perf_counter()
    try:
        found = [_chosen(plans[0], plans[0].judge)] if plans[0].judge else _pass(plans)
    except SamplingDivergedError:
        if len(plans) == 1:
            return [BadRequestError(DIVERGED)]
        return [answer for plan in plans for answer in _answers([plan])]
    except ServeError as error:
        return [error] * len(plans)  # of a hardness, which is alone, or of plans none of which is wanted
    seconds = time.perf_counter() - begun
    return [_answer(plan, rows, seconds) for plan, rows in zip(plans, found, strict=True)]


def _pass(plans: Sequence[Plan]) -> list[Rows]:
    """The rows of several jobs in one pass.

    Raises:
        TimedOutError: none of them is wanted any more.
        SamplingDivergedError: the network gives NaN or infinity.
    """
    sizes = [plan.job.n for plan in plans]
    conditions = Conditions(
        torch.cat([plan.conditions.raw for plan in plans]), torch.cat([plan.conditions.angle for plan in plans])
    )
    number = torch.cat([torch.arange(plan.job.first, plan.job.first + plan.job.n) for plan in plans])
    seeds = [plan.job.seed for plan in plans for _ in range(plan.job.n)]
    rounds = list[Rows]()
    for mine in torch.arange(len(number)).split(LONGEST_ROUND):
        _require_wanted(plans)
        given = [seeds[row] for row in mine.tolist()]
        rounds.append(_draw(plans[0], conditions.take(mine), number[mine], given))
    rows = _joined(rounds)
    return [rows.take(mine) for mine in torch.arange(len(number)).split(sizes)] if len(plans) > 1 else [rows]


def _require_wanted(plans: Sequence[Plan]) -> None:
    if not any(plan.wanted() for plan in plans):
        raise TimedOutError("given up: nobody waits for it any more")


def _draw(plan: Plan, conditions: Conditions, number: Int[Tensor, "N"], seeds: Sequence[int]) -> Rows:
    """Rows of these seeds and numbers, by the model and the settings of a plan."""
    generator, frame = plan.champion.generator, conditions.frame(plan.form)
    z = generator.rows(conditions, frame, [*zip(seeds, number.tolist(), strict=True)], plan.sampling)
    return Rows(conditions, with_deltas(frame, generator.statistics.denormalise(z, frame)), number)


def _chosen(plan: Plan, judge: Judge) -> Rows:
    """The first n rows, from the job's first one on, whose score lies inside the asked hardness.

    Raises:
        ShortageError: too few of the rows that may be looked through.
        TimedOutError: it is not wanted any more.
        SamplingDivergedError: the network gives NaN or infinity.
    """
    job, parts, kept = plan.job, list[Rows](), 0
    low, high = job.hardness or (0.0, 1.0)
    most = max(LOOKED_THROUGH * job.n, LEAST_LOOKED_THROUGH)
    end, start = min(job.first + most, ROWS_OF_A_SEED), job.first
    while kept < job.n and start < end:
        _require_wanted([plan])
        stop = min(start + min(max(job.n - kept, ROUND), LONGEST_ROUND), end)
        rows = _scored(plan, judge, start, stop)
        assert rows.score is not None
        inside = ((rows.score >= low) & (rows.score <= high)).nonzero().squeeze(1)
        parts.append(rows.take(inside[: job.n - kept]))
        kept, start = kept + len(parts[-1].number), stop
    if kept < job.n:
        raise ShortageError(
            f"`hardness` [{low:g}, {high:g}] holds for {kept} of the {start - job.first} rows from number {job.first} "
            f"on, but n={job.n} were asked for; ask for fewer, or for a wider range"
        )
    return _joined(parts)


def _scored(plan: Plan, judge: Judge, start: int, stop: int) -> Rows:
    """Rows [start, stop) with the scores of what the observation model makes of them; NaN where that is no movement."""
    job, number = plan.job, torch.arange(start, stop)
    conditions = asked_conditions(job, plan.champion.generator.known, plan.form, start, stop - start)
    rows = _draw(plan, conditions, number, [job.seed] * len(number))
    return replace(rows, score=scored(judge, decode(rows.canonical, plan.form)))


def _joined(parts: Sequence[Rows]) -> Rows:
    """Several sets of rows as one; all of them have scores, or none has."""
    if len(parts) == 1:
        return parts[0]
    raw, angle = (torch.cat([getattr(part.conditions, name) for part in parts]) for name in ("raw", "angle"))
    scores = [part.score for part in parts if part.score is not None]
    number = torch.cat([part.number for part in parts])
    canonical = concatenate(*(part.canonical for part in parts))
    return Rows(Conditions(raw, angle), canonical, number, torch.cat(scores) if scores else None)


def _answer(plan: Plan, rows: Rows, seconds: float) -> Answer:
    """What leaves the process."""
    canonical, judge = rows.canonical, plan.judge
    steps_px = decode(canonical, plan.form).steps_px if plan.job.pixels else None
    deltas = canonical.deltas.float()
    fits = steps_px is None or bool((steps_px.abs() < 2**31).all())
    if not (fits and bool(deltas.isfinite().all())):
        return BadRequestError(DIVERGED)
    return Drawn(
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
        detector="" if judge is None else judge.id,
    )
