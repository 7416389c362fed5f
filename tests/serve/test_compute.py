"""Laws of computing jobs: a job gives the same bytes alone, in any company, in chunks, and in another process."""

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
from serve.compute import Answer, compute
from serve.distributions import DISTRIBUTIONS
from serve.jobs import (
    BadRequestError,
    DamagedModelError,
    Drawn,
    Job,
    NoDetectorError,
    ShortageError,
    TimedOutError,
    UnknownModelError,
)
from serve.models import Models
from serve.scoring import score
from tests.serve.published import KIND, Straightness, detector, load_straightness, publish, serving
from trainables import detectors
from trainables.data.canonical import RATE_HZ, decode, encode, with_deltas
from trainables.data.dataset import observe_recordings
from trainables.data.recordings import Recording
from trainables.diffusion.api import generate_diffusion_samples
from trainables.diffusion.samplers import SamplingDivergedError
from trainables.diffusion.sampling import SamplingChanges
from trainables.gan.api import SLOTS, GanGenerator
from trainables.model_registry.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
ARRAYS = ("deltas", "length", "condition", "angle", "number", "score", "steps_px")


def asked(n: int, seed: int = 0) -> tuple[tuple[float, ...], ...]:
    """Raw conditions: 0.2 to 1 s, 20 to 900 px, paths up to 1.5 times the distance, turning 1 to 11 rad, no width."""
    u = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    columns = [0.2 + 0.8 * u[:, 0], 20 * 45 ** u[:, 1], 1 + u[:, 2] / 2, 2 + 10 * u[:, 3]]
    rows = torch.stack([*columns, torch.full_like(u[:, 0], math.nan)], dim=1).log()
    return tuple(tuple(row) for row in rows.tolist())


JOBS = [
    Job(1, seed=3),
    Job(1, seed=4),
    Job(40, seed=3, pixels=True),
    Job(7, seed=5, seq_len=51),
    Job(5, seed=5, seq_len=200, pixels=True),
    Job(9, seed=6, distribution="even_distance"),
    Job(6, first=11, seed=3),
    Job(4, seed=8, conditions=asked(4), pixels=True),
    Job(4, seed=8, conditions=asked(1)),
    Job(3, seed=3, sampling=SamplingChanges(steps=3, guidance=2.0)),
    Job(3, seed=3, sampling=SamplingChanges("ddim", eta=1.0)),
]


@pytest.fixture(scope="module")
def models(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Of a diffusion, without a detector."""
    return serving(tmp_path_factory.mktemp("served"), checkpoint)[0]


def drawn(answer: Answer) -> Drawn:
    """The answer, if it is no error."""
    assert isinstance(answer, Drawn), repr(answer)
    return answer


def contents(found: Drawn) -> dict[str, bytes | None]:
    """The bytes of every array."""
    arrays: dict[str, np.ndarray[Any, Any] | None] = {name: getattr(found, name) for name in ARRAYS}
    return {name: None if array is None else array.tobytes() for name, array in arrays.items()}


def digest(answers: Sequence[Answer]) -> str:
    """Of all bytes."""
    return hashlib.sha256(repr([contents(drawn(answer)) for answer in answers]).encode()).hexdigest()


def test_a_job_gives_the_same_bytes_alone_and_in_any_company_and_order(models: Models) -> None:
    alone = [contents(drawn(compute(models, [job])[0])) for job in JOBS]
    together = [contents(drawn(answer)) for answer in compute(models, JOBS)]
    backwards = [contents(drawn(answer)) for answer in compute(models, JOBS[::-1])][::-1]
    assert together == alone
    assert backwards == alone
    assert len({each["deltas"] for each in alone}) == len(JOBS)


@pytest.mark.parametrize(
    "job",
    [
        Job(150, seed=1, pixels=True),
        Job(150, seed=1, seq_len=51),
        Job(150, seed=1, distribution="even_duration"),
        Job(150, seed=1, conditions=asked(1)),
        Job(150, seed=1, conditions=asked(150)),
        Job(150, seed=1, first=1000),
    ],
    ids=["drawn", "of an odd length", "even", "one condition", "conditions", "from later on"],
)
def test_chunks_are_the_whole(models: Models, job: Job) -> None:
    whole = drawn(compute(models, [job])[0])
    for edges in ([0, 1, 150], [0, 64, 128, 150], [0, 149, 150]):
        parts = []
        for low, high in itertools.pairwise(edges):
            given = job.conditions if len(job.conditions) < 2 else job.conditions[low:high]
            chunk = replace(job, n=high - low, first=job.first + low, conditions=given)
            parts.append(drawn(compute(models, [chunk])[0]))
        for name in ARRAYS:
            expected = getattr(whole, name)
            if expected is not None:
                assert np.array_equal(np.concatenate([getattr(p, name) for p in parts]), expected, equal_nan=True)


def test_the_rows_are_those_of_the_sampler_in_this_process(models: Models, checkpoint: Path) -> None:
    """Standardised values of the function that scripts call, taken back to canonical deltas."""
    for given in ((), asked(12)):
        found = drawn(compute(models, [Job(12, seed=9, conditions=given)])[0])
        cond = torch.tensor(given, dtype=torch.float64) if given else None
        z = generate_diffusion_samples(12, 64, cond, steps=2, seed=9, checkpoint=checkpoint)
        generator = models.champions.at().generator
        conditions = generator.known.given(cond, 9) if cond is not None else generator.known.draw(12, 9, 64)
        deltas = generator.statistics.denormalise(z, conditions.frame(generator.canonical))
        assert np.array_equal(found.deltas, deltas.float().numpy())
        assert float(np.abs(found.deltas).max()) > 0.01


def test_what_is_drawn_says_what_it_was_asked_to_be(models: Models) -> None:
    found = drawn(compute(models, [Job(20, first=5, seed=2, pixels=True)])[0])
    generator = models.champions.at().generator
    expected = DISTRIBUTIONS["training"](generator.known, 25, 2, 64).take(slice(5, None))
    assert np.array_equal(found.condition, expected.raw.numpy(), equal_nan=True)
    assert np.array_equal(found.angle, expected.angle.numpy())
    assert found.number.tolist() == list(range(5, 25))
    assert found.length.tolist() == (expected.raw[:, 0].exp() * RATE_HZ).round().int().tolist()
    assert all(not found.deltas[row, length:].any() for row, length in enumerate(found.length))
    assert (found.model, found.detector) == (models.champions.at().id, "")
    assert found.weights_sha256 == models.champions.at().weights_sha256
    assert found.seconds > 0
    assert [found.deltas.dtype, found.length.dtype, found.number.dtype] == [np.float32, np.int32, np.int64]
    assert all(array.flags.c_contiguous for array in (found.deltas, found.condition, found.angle, found.number))


def test_pixels_are_the_decoded_movements(models: Models) -> None:
    found = drawn(compute(models, [Job(20, seed=2, pixels=True)])[0])
    generator = models.champions.at().generator
    conditions = generator.known.draw(20, 2, 64)
    frame = conditions.frame(generator.canonical)
    z = generator.rows(conditions, frame, [(2, row) for row in range(20)])
    movements = decode(with_deltas(frame, generator.statistics.denormalise(z, frame)), generator.canonical)
    assert found.steps_px is not None
    assert np.array_equal(found.steps_px, movements.steps_px.numpy())
    assert found.steps_px.dtype == np.int32
    assert drawn(compute(models, [Job(20, seed=2)])[0]).steps_px is None


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
    """Counts the passes of a generator."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        plain = compute_module._draw

        def counted(*arguments: Any) -> Any:
            self.rows.append(len(arguments[2]))
            return plain(*arguments)

        monkeypatch.setattr(compute_module, "_draw", counted)


def test_jobs_of_one_length_and_sampling_share_one_pass(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch)
    name = models.champions.at().id
    same = [
        Job(1, seed=0),
        Job(2, seed=1, seq_len=64),
        Job(1, seed=2, model=name),
        Job(3, sampling=SamplingChanges(steps=2)),
    ]
    compute(models, [*same, Job(1, seq_len=65), Job(1, sampling=SamplingChanges(steps=3))])
    assert sorted(calls.rows) == [1, 1, 7]


def test_an_adversarial_champion_is_computed_job_by_job_with_the_same_bytes(
    adversarial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU."""
    models, _ = serving(tmp_path, adversarial)
    monkeypatch.setattr(GanGenerator, "batch_invariant", False)
    jobs = [Job(1, seed=1), Job(30, seed=2), Job(3, seed=2, first=4), Job(2, seed=3, seq_len=80, pixels=True)]
    alone = [contents(drawn(compute(models, [job])[0])) for job in jobs]
    calls = Calls(monkeypatch)
    assert [contents(drawn(answer)) for answer in compute(models, jobs)] == alone
    assert sorted(calls.rows) == [1, 2, 3, 30]
    (refused,) = compute(models, [Job(1, sampling=SamplingChanges(steps=4))])
    assert isinstance(refused, BadRequestError)
    assert "`no sampler` of a GAN" in str(refused)
    assert "steps=4" in str(refused)


def test_chunks_of_an_adversarial_champion_are_the_whole_to_the_bit_in_any_company(
    adversarial: Path, tmp_path: Path
) -> None:
    models, _ = serving(tmp_path, adversarial)
    for given in ((), asked(1), asked(150)):
        job = Job(150, seed=1, first=5, conditions=given, pixels=True)
        whole = drawn(compute(models, [job])[0])
        for edges in ([0, 1, 150], [0, SLOTS, 2 * SLOTS, 150], [0, 7, 77, 149, 150]):
            spans = [*itertools.pairwise(edges)]
            rows = [given if len(given) < 2 else given[low:high] for low, high in spans]
            chunks = [
                replace(job, n=high - low, first=job.first + low, conditions=mine)
                for (low, high), mine in zip(spans, rows, strict=True)
            ]
            parts = [drawn(answer) for answer in compute(models, [Job(3, seed=2), *chunks])[1:]]
            parts[0] = drawn(compute(models, chunks[:1])[0])
            for name in ("deltas", "length", "condition", "angle", "number", "steps_px"):
                joined = np.concatenate([getattr(part, name) for part in parts])
                assert joined.tobytes() == getattr(whole, name).tobytes()


def test_a_damaged_champion_fails_alone(checkpoint: Path, other: Path, tmp_path: Path) -> None:
    models, (first, _) = serving(tmp_path, checkpoint, other)

    def diverging(entry: Any) -> Any:
        raise SamplingDivergedError("NaN")

    models.champions._load = diverging
    models.champions._kept.clear()
    bad, good = compute(models, [Job(2, model=first), Job(2)])
    assert isinstance(bad, DamagedModelError)
    assert len(drawn(good).number) == 2


def test_what_nobody_waits_for_is_given_up_between_rounds(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute_module, "LONGEST_ROUND", 4)
    calls, asked_at = Calls(monkeypatch), list[int]()

    def wanted(at: int) -> bool:
        asked_at.append(at)
        return at == 0 or len(calls.rows) < 2

    (given_up,) = compute(models, [Job(20)], lambda at: len(calls.rows) < 2)
    assert isinstance(given_up, TimedOutError)
    assert calls.rows == [4, 4]
    calls.rows.clear()
    kept, together = compute(models, [Job(10), Job(10, seed=1)], wanted)
    assert len(drawn(kept).number) == len(drawn(together).number) == 10
    assert calls.rows == [4] * 5
    assert set(asked_at) == {0}


def test_old_and_new_champions_never_meet_in_an_answer(checkpoint: Path, other: Path, tmp_path: Path) -> None:
    models, (first, second) = serving(tmp_path, checkpoint, other)
    old, new, present = (drawn(a) for a in compute(models, [Job(4, model=first), Job(4, model=second), Job(4)]))
    assert contents(new) == contents(present)
    assert contents(old)["deltas"] != contents(new)["deltas"]
    assert (old.model, new.model, present.model) == (first, second, second)
    assert old.weights_sha256 != new.weights_sha256
    assert models.champions.swap(first)
    assert contents(drawn(compute(models, [Job(4)])[0])) == contents(old)


BAD = {
    "an unknown model": (Job(2, model="0009-aaaaaaaaaaaa"), UnknownModelError, "nothing of this id"),
    "a length too short": (Job(2, seq_len=2), BadRequestError, "`seq_len >= 8` must hold, but got seq_len=2"),
    "a movement too long": (Job(1, seq_len=16, conditions=asked(1)), BadRequestError, "a longer seq_len"),
    "a target width": (
        Job(1, conditions=((*asked(1)[0][:4], 3.0),)),
        BadRequestError,
        "an unknown target width is NaN",
    ),
    "more steps than times": (
        Job(2, sampling=SamplingChanges(steps=1001)),
        BadRequestError,
        "`1 <= steps <= timesteps`",
    ),
    "a wrong eta": (Job(2, sampling=SamplingChanges(eta=0.5)), BadRequestError, "`eta = 0` unless"),
    "a guidance without measure": (Job(2, sampling=SamplingChanges(guidance=1e38)), BadRequestError, "NaN or infinity"),
    "a path without measure": (
        Job(1, conditions=((*asked(1)[0][:2], 1e300, 1.0, math.nan),)),
        BadRequestError,
        "NaN or infinity",
    ),
    "a hardness without a detector": (Job(2, hardness=(0.1, 0.9)), NoDetectorError, "nothing was published yet"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_job_fails_alone_in_one_line_and_its_company_is_answered(models: Models, name: str) -> None:
    job, kind, says = BAD[name]
    before, found, after = compute(models, [Job(3, seed=1), job, Job(2, seed=2)])
    assert type(found) is kind
    assert says in str(found)
    assert "\n" not in str(found)
    expected = compute(models, [Job(3, seed=1), Job(2, seed=2)])
    assert [contents(drawn(a)) for a in (before, after)] == [contents(drawn(a)) for a in expected]


@pytest.fixture
def judged(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Models:
    """Of a diffusion and a detector."""
    monkeypatch.setitem(detectors.LOADERS, KIND, load_straightness)
    models, _ = serving(tmp_path / "results", checkpoint)
    detector(tmp_path / "results", tmp_path / "detector")
    return models


def scores(models: Models, count: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Of the first rows of a seed, one by one, by the chain that recordings go."""
    found = drawn(compute(models, [Job(count, seed=seed, pixels=True)])[0])
    assert found.steps_px is not None
    values = []
    for row in range(count):
        path = np.cumsum(found.steps_px[row, : found.length[row]].astype(np.float64), axis=0)
        steps = np.diff(path, axis=0, prepend=0.0)
        length = np.hypot(*steps.T).sum()
        values.append(np.hypot(*path[-1]) / length if np.hypot(*path[-1]) >= 8 else math.nan)
    return np.array(values)


def test_rows_of_a_hardness_are_the_first_whose_score_lies_inside(judged: Models) -> None:
    every = scores(judged, 120, seed=4)
    low, high = np.nanquantile(every, [0.3, 0.6])
    job = Job(10, seed=4, hardness=(float(low), float(high)))
    found = drawn(compute(judged, [job])[0])
    expected = np.flatnonzero((every >= low) & (every <= high))[:10]
    assert found.number.tolist() == expected.tolist()
    assert found.score is not None
    assert np.allclose(found.score, every[expected])
    assert found.detector == judged.detectors.at().id
    whole = drawn(compute(judged, [Job(120, seed=4)])[0])
    assert np.array_equal(found.deltas, whole.deltas[expected])
    assert np.array_equal(found.condition, whole.condition[expected], equal_nan=True)
    together = compute(judged, [Job(2), job, replace(job, seed=5)])
    assert contents(drawn(together[1])) == contents(found)


def test_chunks_of_a_hardness_go_on_behind_the_last_number(judged: Models) -> None:
    every = scores(judged, 120, seed=4)
    job = Job(9, seed=4, hardness=(float(np.nanquantile(every, 0.5)), 1.0), conditions=())
    whole = drawn(compute(judged, [job])[0])
    one = drawn(compute(judged, [replace(job, n=4)])[0])
    two = drawn(compute(judged, [replace(job, n=5, first=int(one.number[-1]) + 1)])[0])
    for name in ("deltas", "condition", "angle", "number", "score"):
        assert np.array_equal(
            np.concatenate([getattr(one, name), getattr(two, name)]), getattr(whole, name), equal_nan=True
        )


def test_a_hardness_that_next_to_no_row_has_is_told_with_the_counts(judged: Models) -> None:
    (found,) = compute(judged, [Job(3, seed=4, hardness=(0.0, 1e-9))])
    assert isinstance(found, ShortageError)
    assert "holds for 0 of the 512 rows from number 0 on, but n=3 were asked for" in str(found)


def test_looking_for_a_hardness_ends_when_nobody_waits(judged: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch)
    (given_up,) = compute(judged, [Job(3, seed=4, hardness=(0.0, 1e-9))], lambda at: len(calls.rows) < 2)
    assert isinstance(given_up, TimedOutError)
    assert len(calls.rows) == 2


def test_a_named_detector_scores_whoever_is_published_later(judged: Models, tmp_path: Path) -> None:
    first = judged.detectors
    judged.describe()
    before, job = first.at().id, Job(5, seed=4, hardness=(0.0, 1.0))
    old = drawn(compute(judged, [job])[0])
    second = detector(judged.detectors.registry.path.parent, tmp_path / "second", power=2.0)
    new, pinned = (drawn(a) for a in compute(judged, [job, replace(job, detector=before)]))
    assert (old.detector, new.detector, pinned.detector) == (before, second, before)
    assert contents(pinned) == contents(old)
    assert old.score is not None
    assert new.score is not None
    assert np.allclose(new.score, old.score**2)
    (unknown,) = compute(judged, [replace(job, detector="../x")])
    assert isinstance(unknown, UnknownModelError)


def recording(points: int, step_ms: float = 10.0, stride_px: float = 5.0) -> Recording:
    """A movement with a bend."""
    at = np.arange(points, dtype=np.float64)
    return Recording(at * step_ms, at * stride_px, np.abs(at - points / 2) * stride_px, "test", "someone", "one")


def test_recordings_are_scored_by_the_chain_that_samples_go(judged: Models) -> None:
    recordings = [recording(30), recording(60, stride_px=2.0)]
    form = Straightness().canonical
    expected = Straightness().score(encode(observe_recordings(recordings), form)).tolist()
    assert score(judged, recordings) == expected
    assert all(0.0 < value < 1.0 for value in expected)
    assert score(judged, []) == []


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (recording(5), "movement 1: fewer than 8 steps at 60 Hz"),
        (recording(30, stride_px=0.1), "movement 1: net displacement under 8 px"),
        (recording(300), "movement 1: longer than T=64 steps at 60 Hz"),
        (recording(30, step_ms=1e12), "movement 1: `duration <= 60 s` must hold"),
        (recording(30, stride_px=1e300), "movement 1: steps that are not finite"),
    ],
)
def test_a_recording_that_is_no_movement_is_named_with_the_reason(judged: Models, bad: Recording, says: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        score(judged, [recording(30), bad])
    assert says in str(caught.value)


def test_without_a_detector_nothing_is_scored(models: Models) -> None:
    with pytest.raises(NoDetectorError, match="nothing was published yet"):
        score(models, [recording(30)])


def test_a_promotion_shows_in_the_next_job_only_after_the_swap(checkpoint: Path, other: Path, tmp_path: Path) -> None:
    models, (first,) = serving(tmp_path, checkpoint)
    publish(Registry.below(tmp_path), other)
    assert drawn(compute(models, [Job(1)])[0]).model == first
