"""Tests of computing jobs: a job gives the same bytes alone, in any batch, in chunks, and in another process."""

import hashlib
import itertools
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from serve import compute as compute_module
from serve.compute import JobResult, compute
from serve.distributions import DISTRIBUTIONS
from serve.jobs import (
    BadRequestError,
    DamagedModelError,
    Job,
    NoDetectorError,
    SampleResult,
    ShortageError,
    TimedOutError,
    UnknownModelError,
)
from serve.models import Models
from serve.scoring import score
from tests.serve.published import KIND, STRAIGHTNESS, Straightness, detector, publish, serving
from trainables.data.canonical import decode, encode, with_deltas
from trainables.data.config import RATE_HZ
from trainables.data.readers.recordings import Recording
from trainables.data.splits.parts import observe_recordings
from trainables.diffusion.api import generate_diffusion_samples
from trainables.diffusion.samplers import SamplingDivergedError
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.gan.api import SLOTS, GanGenerator
from trainables.model_registry.registry import Registry
from trainables.specs import TRAINABLES

ROOT = Path(__file__).resolve().parents[2]
ARRAYS = ("deltas", "length", "condition", "angle", "number", "score", "steps_px")


def raw_conditions(n: int, seed: int = 0) -> tuple[tuple[float, ...], ...]:
    """Return conditions: 0.2 to 1 s, 20 to 900 px, path up to 1.5 times the distance, turning 1 to 11 rad, no width."""
    u = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    columns = [0.2 + 0.8 * u[:, 0], 20 * 45 ** u[:, 1], 1 + u[:, 2] / 2, 2 + 10 * u[:, 3]]
    rows = torch.stack([*columns, torch.full_like(u[:, 0], math.nan)], dim=1).log()
    return tuple(tuple(row) for row in rows.tolist())


JOBS = [
    Job(1, seed=3),
    Job(1, seed=4),
    Job(40, seed=3, pixels=True),
    Job(7, seed=5, seq_len=51),
    Job(5, seed=5, seq_len=60, pixels=True),
    Job(9, seed=6, distribution="even_distance"),
    Job(9, seed=6, distribution="even_distance", source="sapimouse"),
    Job(7, seed=5, source="cursory"),
    Job(4, seed=8, conditions=raw_conditions(1), source="cursory"),
    Job(6, first=11, seed=3),
    Job(4, seed=8, conditions=raw_conditions(4), pixels=True),
    Job(4, seed=8, conditions=raw_conditions(1)),
    Job(3, seed=3, sampling=SamplingChanges(steps=3, guidance=2.0)),
    Job(3, seed=3, sampling=SamplingChanges("ddim", eta=1.0)),
]


@pytest.fixture(scope="module")
def models(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Models with a diffusion and without a detector."""
    return serving(tmp_path_factory.mktemp("served"), checkpoint)[0]


def sampled(result: JobResult) -> SampleResult:
    """Return a result that must not be an error."""
    assert isinstance(result, SampleResult), repr(result)
    return result


def contents(found: SampleResult) -> dict[str, bytes | None]:
    """Return the bytes of every array."""
    arrays: dict[str, np.ndarray[Any, Any] | None] = {name: getattr(found, name) for name in ARRAYS}
    return {name: None if array is None else array.tobytes() for name, array in arrays.items()}


def digest(results: Sequence[JobResult]) -> str:
    """Return the hash of all bytes."""
    return hashlib.sha256(repr([contents(sampled(result)) for result in results]).encode()).hexdigest()


def test_a_job_gives_the_same_bytes_alone_and_in_any_batch_and_order(models: Models) -> None:
    alone = [contents(sampled(compute(models, [job])[0])) for job in JOBS]
    together = [contents(sampled(result)) for result in compute(models, JOBS)]
    backwards = [contents(sampled(result)) for result in compute(models, JOBS[::-1])][::-1]
    assert together == alone
    assert backwards == alone
    assert len({each["deltas"] for each in alone}) == len(JOBS)


SELECTING = [
    Job(9, seed=3, source="sapimouse", sampling=SamplingChanges(candidates=4)),
    Job(5, seed=4, source="sapimouse", sampling=SamplingChanges(candidates=4), pixels=True),
    Job(9, seed=3, source="sapimouse", sampling=SamplingChanges(candidates=2)),
    Job(9, seed=3, source="sapimouse"),
    Job(9, seed=3, source="sapimouse", sampling=SamplingChanges(candidates=1)),
]


def test_selected_rows_have_the_same_bytes_in_any_batch_and_in_chunks(
    selecting: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The selector travels with the publication, and one candidate gives what a champion without a selector does."""
    models, _ = serving(tmp_path / "with", selecting)
    alone = [contents(sampled(compute(models, [job])[0])) for job in SELECTING]
    assert [contents(sampled(result)) for result in compute(models, SELECTING[::-1])][::-1] == alone
    monkeypatch.setattr(compute_module, "MAX_CHUNK", 8)
    assert [contents(sampled(result)) for result in compute(models, SELECTING)] == alone
    rest = replace(SELECTING[0], n=5, first=4)
    assert np.array_equal(sampled(compute(models, [rest])[0]).deltas, sampled(compute(models, SELECTING)[0]).deltas[4:])
    without, _ = serving(tmp_path / "without", checkpoint)
    assert contents(sampled(compute(without, SELECTING[-1:])[0])) == alone[-1] == alone[-2]
    assert len({each["deltas"] for each in alone}) == len(SELECTING) - 1


@pytest.mark.parametrize(
    ("with_selector", "job", "message"),
    [
        (
            False,
            SELECTING[0],
            "a checkpoint with a selector for candidates > 1, but got candidates=4 and none",
        ),
        (True, replace(SELECTING[0], source=""), "but got cursory; ask for one of these sources"),
        (True, replace(SELECTING[0], sampling=SamplingChanges(candidates=4, steps=3)), "but got steps=3"),
    ],
)
def test_candidates_that_the_champion_cannot_select_among_are_a_bad_request(
    selecting: Path, checkpoint: Path, tmp_path: Path, with_selector: bool, job: Job, message: str
) -> None:
    models, _ = serving(tmp_path, selecting if with_selector else checkpoint)
    (result,) = compute(models, [replace(job, n=40)])
    assert isinstance(result, BadRequestError)
    assert message in str(result)


@pytest.mark.parametrize(
    "job",
    [
        Job(150, seed=1, pixels=True),
        Job(150, seed=1, seq_len=51),
        Job(150, seed=1, distribution="even_duration"),
        Job(150, seed=1, conditions=raw_conditions(1)),
        Job(150, seed=1, conditions=raw_conditions(150)),
        Job(150, seed=1, first=1000),
    ],
    ids=["drawn", "of an odd length", "even", "one condition", "conditions", "from later on"],
)
def test_chunks_equal_a_single_call(models: Models, job: Job) -> None:
    whole = sampled(compute(models, [job])[0])
    for edges in ([0, 1, 150], [0, 64, 128, 150], [0, 149, 150]):
        parts = []
        for low, high in itertools.pairwise(edges):
            given = job.conditions if len(job.conditions) < 2 else job.conditions[low:high]
            chunk = replace(job, n=high - low, first=job.first + low, conditions=given)
            parts.append(sampled(compute(models, [chunk])[0]))
        for name in ARRAYS:
            expected = getattr(whole, name)
            if expected is not None:
                assert np.array_equal(np.concatenate([getattr(p, name) for p in parts]), expected, equal_nan=True)


def test_the_rows_equal_those_of_the_sampler_in_this_process(models: Models, checkpoint: Path) -> None:
    """Compare with the standardised values of `generate_diffusion_samples`, converted to canonical deltas."""
    for given in ((), raw_conditions(12)):
        found = sampled(compute(models, [Job(12, seed=9, conditions=given)])[0])
        cond = torch.tensor(given, dtype=torch.float64) if given else None
        z = generate_diffusion_samples(12, 64, cond, steps=2, seed=9, checkpoint=checkpoint)
        generator = models.champions.get().generator
        conditions = (
            generator.training_conditions.given(cond, 9)
            if cond is not None
            else generator.training_conditions.draw(12, 9, 64)
        )
        deltas = generator.statistics.denormalise(z, conditions.frame(generator.canonical))
        assert np.array_equal(found.deltas, deltas.float().numpy())
        assert float(np.abs(found.deltas).max()) > 0.01


@pytest.mark.parametrize("name", ["cursory", "sapimouse"])
def test_samples_of_a_source_are_under_conditions_of_its_movements(models: Models, name: str) -> None:
    known = models.champions.get().generator.training_conditions.of_source(name)
    found = sampled(compute(models, [Job(40, seed=2, source=name)])[0])
    assert set(found.angle.tolist()) <= set(known.angle.tolist())


def test_an_unknown_source_is_refused_with_the_known_ones(models: Models) -> None:
    [error] = compute(models, [Job(2, source="balabit")])
    assert isinstance(error, BadRequestError)
    assert str(error).startswith("expected `source` in {cursory, sapimouse}, but got source=balabit; choose one")


def test_a_result_holds_its_conditions_and_its_origin(models: Models) -> None:
    found = sampled(compute(models, [Job(20, first=5, seed=2, pixels=True)])[0])
    generator = models.champions.get().generator
    expected = DISTRIBUTIONS["training"](generator.training_conditions, 25, 2, 64).take(slice(5, None))
    assert np.array_equal(found.condition, expected.raw.numpy(), equal_nan=True)
    assert np.array_equal(found.angle, expected.angle.numpy())
    assert found.number.tolist() == list(range(5, 25))
    assert found.length.tolist() == (expected.raw[:, 0].exp() * RATE_HZ).round().int().tolist()
    assert all(not found.deltas[row, length:].any() for row, length in enumerate(found.length))
    assert (found.model, found.detector) == (models.champions.get().id, "")
    assert found.weights_sha256 == models.champions.get().weights_sha256
    assert found.seconds > 0
    assert [found.deltas.dtype, found.length.dtype, found.number.dtype] == [np.float32, np.int32, np.int64]
    assert all(array.flags.c_contiguous for array in (found.deltas, found.condition, found.angle, found.number))


def test_pixels_are_the_decoded_movements(models: Models) -> None:
    found = sampled(compute(models, [Job(20, seed=2, pixels=True)])[0])
    generator = models.champions.get().generator
    conditions = generator.training_conditions.draw(20, 2, 64)
    frame = conditions.frame(generator.canonical)
    z = generator.rows(conditions, frame, [(2, row) for row in range(20)])
    movements = decode(with_deltas(frame, generator.statistics.denormalise(z, frame)), generator.canonical)
    assert found.steps_px is not None
    assert np.array_equal(found.steps_px, movements.steps_px.numpy())
    assert found.steps_px.dtype == np.int32
    assert sampled(compute(models, [Job(20, seed=2)])[0]).steps_px is None


@pytest.mark.heavy
def test_another_process_gives_the_same_bytes(models: Models) -> None:
    code = (
        "from tests.serve.test_compute import JOBS, compute, digest, Models\n"
        f"models = Models.below({str(models.champions.registry.path.parent)!r})\n"
        "assert models.champions.swap()\n"
        "print(digest(compute(models, JOBS[::-1])[::-1]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(compute(models, JOBS))


class Calls:
    """Records the rows of every call of the generator."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        plain = compute_module._sampled

        def counted(*arguments: Any) -> Any:
            self.rows.append(len(arguments[2]))
            return plain(*arguments)

        monkeypatch.setattr(compute_module, "_sampled", counted)


def test_jobs_of_one_length_and_sampler_share_one_batch(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch)
    name = models.champions.get().id
    same = [
        Job(1, seed=0),
        Job(2, seed=1, seq_len=64),
        Job(1, seed=2, model=name),
        Job(3, sampling=SamplingChanges(steps=2)),
    ]
    compute(models, [*same, Job(1, seq_len=63), Job(1, sampling=SamplingChanges(steps=3))])
    assert sorted(calls.rows) == [1, 1, 7]


def test_a_generator_that_is_not_batch_invariant_is_computed_job_by_job_with_the_same_bytes(
    adversarial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pretend that the generator is not batch-invariant, as on a GPU."""
    models, _ = serving(tmp_path, adversarial)
    monkeypatch.setattr(GanGenerator, "batch_invariant", False)
    jobs = [Job(1, seed=1), Job(30, seed=2), Job(3, seed=2, first=4), Job(2, seed=3, seq_len=60, pixels=True)]
    alone = [contents(sampled(compute(models, [job])[0])) for job in jobs]
    calls = Calls(monkeypatch)
    assert [contents(sampled(result)) for result in compute(models, jobs)] == alone
    assert sorted(calls.rows) == [1, 2, 3, 30]
    (refused,) = compute(models, [Job(1, sampling=SamplingChanges(steps=4))])
    assert isinstance(refused, BadRequestError)
    assert "expected no sampler for a GAN" in str(refused)
    assert "steps=4" in str(refused)


@pytest.mark.parametrize("kind", ["adversarial", "physical"])
def test_chunks_equal_a_single_call_in_any_batch(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    models, _ = serving(tmp_path, request.getfixturevalue(kind))
    for given in ((), raw_conditions(1), raw_conditions(150)):
        job = Job(150, seed=1, first=5, conditions=given, pixels=True)
        whole = sampled(compute(models, [job])[0])
        for edges in ([0, 1, 150], [0, SLOTS, 2 * SLOTS, 150], [0, 7, 77, 149, 150]):
            spans = [*itertools.pairwise(edges)]
            rows = [given if len(given) < 2 else given[low:high] for low, high in spans]
            chunks = [
                replace(job, n=high - low, first=job.first + low, conditions=mine)
                for (low, high), mine in zip(spans, rows, strict=True)
            ]
            parts = [sampled(result) for result in compute(models, [Job(3, seed=2), *chunks])[1:]]
            parts[0] = sampled(compute(models, chunks[:1])[0])
            for name in ("deltas", "length", "condition", "angle", "number", "steps_px"):
                joined = np.concatenate([getattr(part, name) for part in parts])
                assert joined.tobytes() == getattr(whole, name).tobytes()


def test_a_damaged_champion_fails_alone(checkpoint: Path, other: Path, tmp_path: Path) -> None:
    models, (first, _) = serving(tmp_path, checkpoint, other)

    def diverging(entry: Any) -> Any:
        raise SamplingDivergedError("NaN")

    models.champions._load = diverging
    models.champions._cache.clear()
    bad, good = compute(models, [Job(2, model=first), Job(2)])
    assert isinstance(bad, DamagedModelError)
    assert len(sampled(good).number) == 2


def test_a_job_without_a_waiting_client_is_cancelled_between_chunks(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute_module, "MAX_CHUNK", 4)
    calls, called_at = Calls(monkeypatch), list[int]()

    def wanted(at: int) -> bool:
        called_at.append(at)
        return at == 0 or len(calls.rows) < 2

    (cancelled,) = compute(models, [Job(20)], lambda at: len(calls.rows) < 2)
    assert isinstance(cancelled, TimedOutError)
    assert calls.rows == [4, 4]
    calls.rows.clear()
    kept, together = compute(models, [Job(10), Job(10, seed=1)], wanted)
    assert len(sampled(kept).number) == len(sampled(together).number) == 10
    assert calls.rows == [4] * 5
    assert set(called_at) == {0}


def test_a_result_never_mixes_two_champions(checkpoint: Path, other: Path, tmp_path: Path) -> None:
    models, (first, second) = serving(tmp_path, checkpoint, other)
    old, new, present = (sampled(a) for a in compute(models, [Job(4, model=first), Job(4, model=second), Job(4)]))
    assert contents(new) == contents(present)
    assert contents(old)["deltas"] != contents(new)["deltas"]
    assert (old.model, new.model, present.model) == (first, second, second)
    assert old.weights_sha256 != new.weights_sha256
    assert models.champions.swap(first)
    assert contents(sampled(compute(models, [Job(4)])[0])) == contents(old)


BAD = {
    "an unknown model": (Job(2, model="0009-aaaaaaaaaaaa"), UnknownModelError, "unknown model id"),
    "a length too short": (Job(2, seq_len=2), BadRequestError, "expected `seq_len >= 8`, but got seq_len=2"),
    "a length too long": (Job(2, seq_len=65), BadRequestError, "expected `seq_len <= 64`, the length of the model"),
    "a movement too long": (Job(1, seq_len=16, conditions=raw_conditions(1)), BadRequestError, "a longer seq_len"),
    "a target width": (
        Job(1, conditions=((*raw_conditions(1)[0][:4], 3.0),)),
        BadRequestError,
        "an unknown target width is NaN",
    ),
    "more steps than times": (
        Job(2, sampling=SamplingChanges(steps=1001)),
        BadRequestError,
        "`1 <= steps <= timesteps`",
    ),
    "a wrong eta": (Job(2, sampling=SamplingChanges(eta=0.5)), BadRequestError, "`eta = 0` unless"),
    "an extreme guidance": (Job(2, sampling=SamplingChanges(guidance=1e38)), BadRequestError, "NaN or infinity"),
    "an extreme path": (
        Job(1, conditions=((*raw_conditions(1)[0][:2], 1e300, 1.0, math.nan),)),
        BadRequestError,
        "NaN or infinity",
    ),
    "a hardness without a detector": (Job(2, hardness=(0.1, 0.9)), NoDetectorError, "no detector published yet"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_job_fails_alone_in_one_line(models: Models, name: str) -> None:
    job, kind, message = BAD[name]
    before, found, after = compute(models, [Job(3, seed=1), job, Job(2, seed=2)])
    assert type(found) is kind
    assert message in str(found)
    assert "\n" not in str(found)
    expected = compute(models, [Job(3, seed=1), Job(2, seed=2)])
    assert [contents(sampled(a)) for a in (before, after)] == [contents(sampled(a)) for a in expected]


@pytest.fixture
def scoring(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Models:
    """Models with a diffusion and a detector."""
    monkeypatch.setitem(TRAINABLES, KIND, STRAIGHTNESS)
    models, _ = serving(tmp_path / "results", checkpoint)
    detector(tmp_path / "results", tmp_path / "detector")
    return models


def scores(models: Models, count: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the straightness of the first rows of a seed, computed from their pixels in a plain loop."""
    found = sampled(compute(models, [Job(count, seed=seed, pixels=True)])[0])
    assert found.steps_px is not None
    values = []
    for row in range(count):
        path = np.cumsum(found.steps_px[row, : found.length[row]].astype(np.float64), axis=0)
        steps = np.diff(path, axis=0, prepend=0.0)
        length = np.hypot(*steps.T).sum()
        values.append(np.hypot(*path[-1]) / length if np.hypot(*path[-1]) >= 8 else math.nan)
    return np.array(values)


def test_rows_of_a_hardness_are_the_first_with_a_score_within_it(scoring: Models) -> None:
    every = scores(scoring, 120, seed=4)
    low, high = np.nanquantile(every, [0.3, 0.6])
    job = Job(10, seed=4, hardness=(float(low), float(high)))
    found = sampled(compute(scoring, [job])[0])
    expected = np.flatnonzero((every >= low) & (every <= high))[:10]
    assert found.number.tolist() == expected.tolist()
    assert found.score is not None
    assert np.allclose(found.score, every[expected])
    assert found.detector == scoring.detectors.get().id
    whole = sampled(compute(scoring, [Job(120, seed=4)])[0])
    assert np.array_equal(found.deltas, whole.deltas[expected])
    assert np.array_equal(found.condition, whole.condition[expected], equal_nan=True)
    together = compute(scoring, [Job(2), job, replace(job, seed=5)])
    assert contents(sampled(together[1])) == contents(found)


def test_a_hardness_scans_selected_rows(scoring: Models, selecting: Path, tmp_path: Path) -> None:
    models, _ = serving(tmp_path / "results", selecting)
    every = Job(40, seed=3, source="sapimouse", sampling=SamplingChanges(candidates=4), hardness=(0.0, 1.0))
    whole = sampled(compute(models, [every])[0])
    assert whole.score is not None
    low = float(np.median(whole.score))
    found = sampled(compute(models, [replace(every, n=5, hardness=(low, 1.0))])[0])
    expected = np.flatnonzero(whole.score >= low)[:5]
    assert np.array_equal(found.number, whole.number[expected])
    assert np.array_equal(found.deltas, whole.deltas[expected])


def test_chunks_of_a_hardness_continue_after_the_last_number(scoring: Models) -> None:
    every = scores(scoring, 120, seed=4)
    job = Job(9, seed=4, hardness=(float(np.nanquantile(every, 0.5)), 1.0), conditions=())
    whole = sampled(compute(scoring, [job])[0])
    one = sampled(compute(scoring, [replace(job, n=4)])[0])
    two = sampled(compute(scoring, [replace(job, n=5, first=int(one.number[-1]) + 1)])[0])
    for name in ("deltas", "condition", "angle", "number", "score"):
        assert np.array_equal(
            np.concatenate([getattr(one, name), getattr(two, name)]), getattr(whole, name), equal_nan=True
        )


def test_a_hardness_that_hardly_any_row_has_is_an_error_with_the_counts(scoring: Models) -> None:
    (found,) = compute(scoring, [Job(3, seed=4, hardness=(0.0, 1e-9))])
    assert isinstance(found, ShortageError)
    assert (
        "only 0 of the 512 rows from number 0 on have a score in `hardness` [0, 1e-09], but n=3 were requested"
        in str(found)
    )


def test_scanning_for_a_hardness_ends_when_no_client_waits(scoring: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch)
    (cancelled,) = compute(scoring, [Job(3, seed=4, hardness=(0.0, 1e-9))], lambda at: len(calls.rows) < 2)
    assert isinstance(cancelled, TimedOutError)
    assert len(calls.rows) == 2


def test_a_named_detector_scores_even_after_another_is_published(scoring: Models, tmp_path: Path) -> None:
    first = scoring.detectors
    scoring.describe()
    before, job = first.get().id, Job(5, seed=4, hardness=(0.0, 1.0))
    old = sampled(compute(scoring, [job])[0])
    second = detector(scoring.detectors.registry.path.parent, tmp_path / "second", power=2.0)
    new, pinned = (sampled(a) for a in compute(scoring, [job, replace(job, detector=before)]))
    assert (old.detector, new.detector, pinned.detector) == (before, second, before)
    assert contents(pinned) == contents(old)
    assert old.score is not None
    assert new.score is not None
    assert np.allclose(new.score, old.score**2)
    (unknown,) = compute(scoring, [replace(job, detector="../x")])
    assert isinstance(unknown, UnknownModelError)


def recording(points: int, step_ms: float = 10.0, stride_px: float = 5.0) -> Recording:
    """Return a movement with a bend."""
    at = np.arange(points, dtype=np.float64)
    return Recording(at * step_ms, at * stride_px, np.abs(at - points / 2) * stride_px, "test", "someone", "one")


def test_recordings_take_the_same_path_to_the_detector_as_samples(scoring: Models) -> None:
    recordings = [recording(30), recording(60, stride_px=2.0)]
    form = Straightness().canonical
    expected = Straightness().score(encode(observe_recordings(recordings), form)).tolist()
    assert score(scoring, recordings) == expected
    assert all(0.0 < value < 1.0 for value in expected)
    assert score(scoring, []) == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (recording(5), "movement 1: fewer than 8 steps at 60 Hz"),
        (recording(30, stride_px=0.1), "movement 1: net displacement under 8 px"),
        (recording(300), "movement 1: longer than T=64 steps at 60 Hz"),
        (recording(30, step_ms=1e12), "movement 1: expected `duration <= 60 s`, but got"),
        (recording(30, stride_px=1e300), "movement 1: steps that are not finite"),
    ],
)
def test_a_recording_without_canonical_form_is_named_with_the_reason(
    scoring: Models, bad: Recording, message: str
) -> None:
    with pytest.raises(BadRequestError) as exc_info:
        score(scoring, [recording(30), bad])
    assert message in str(exc_info.value)


def test_scoring_without_a_detector_is_an_error(models: Models) -> None:
    with pytest.raises(NoDetectorError, match="no detector published yet"):
        score(models, [recording(30)])


def test_a_promotion_shows_in_the_next_job_only_after_the_swap(checkpoint: Path, other: Path, tmp_path: Path) -> None:
    models, (first,) = serving(tmp_path, checkpoint)
    publish(Registry.below(tmp_path), other)
    assert sampled(compute(models, [Job(1)])[0]).model == first
