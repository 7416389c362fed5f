"""Python client for hard negatives as tensors: over HTTP, or inside a Ray cluster by the replicas' handle.

    from serve.client import HardNegatives
    negatives = HardNegatives("http://127.0.0.1:8000")
    deltas = negatives.sample(n=2000, seed=7)  # [2000, T, 2]

A large sample is requested in chunks, which equal the whole bit for bit. The first response decides the champion: all
further chunks name it by id, so a promotion in between does not mix two champions. A missing seed is drawn here, so a
request that is repeated after a failure is the same request, with the same response.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypedDict, Unpack

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from serve.distributions import TRAINING
from serve.jobs import SEED_LIMIT, Job, SampleResult
from serve.patience import RetryPolicy, ServiceError
from serve.remote import TIMEOUT_S, ClientResponse, HttpClient
from trainables.core.config import require
from trainables.diffusion.sampling_config import SamplingChanges

ARRAYS = ("deltas", "length", "condition", "angle", "number", "score", "steps_px")
CHUNK_ROWS = 512  # rows of one request: some seconds of one core, a quarter of a megabyte at T=64
HARDNESS_CHUNK_ROWS = 128  # with a hardness, for which 4,096 may be scanned: a minute, well within the timeout


class SampleOptions(TypedDict, total=False):
    """Options of a sample; by default those of the champion's evaluation.

    Attributes:
        seq_len: T, where the champion's form supports shorter lengths than its own.
        seed: Seed of the whole sample; None: a random one, returned as `Samples.seed`.
        conditions: Raw rows [1 or n, D], columns as in `trainables.data.canonical.CONDITION_NAMES`, NaN for an unknown
            target width.
        distribution: Source of conditions that are not given: a name of `serve.distributions.DISTRIBUTIONS`.
        source: Source of the recordings that movements are to be like, one of the model card's `sources`.
        steps, sampler, guidance: As in `trainables.diffusion.sampling.SamplingConfig`.
        candidates: Samples per movement, of which the champion's selector draws one.
        hardness: Keep only movements whose score by the published detector lies inside [low, high].
        pixels: Whether to return `Samples.steps_px` too.
        model: Id of a current or past champion.
        detector: Id of the detector for `hardness`, current or past.
        chunk: Most rows of one request; the default is smaller with a hardness or candidates, which make a row dearer.
    """

    seq_len: int
    seed: int | None
    conditions: Float[Tensor, "N D"] | Sequence[Sequence[float]] | None
    distribution: str
    source: str
    steps: int | None
    sampler: str | None
    guidance: float | None
    candidates: int | None
    hardness: tuple[float, float] | None
    pixels: bool
    model: str
    detector: str
    chunk: int


@dataclass(frozen=True, eq=False)
class Samples:
    """N movements with their metadata; all of one champion and one seed.

    Attributes:
        deltas: Canonical normalised deltas, float32: displacements per step in units of the requested net displacement,
            which points along +x; zero after the last step. A sample ends near (1, 0), and seldom on it.
        length: Valid steps.
        condition: Raw conditions, columns as in `trainables.data.canonical.CONDITION_NAMES`.
        angle: Direction on the screen, radians.
        number: Row number in the sequence of the seed.
        score: Probability of a bot by `detector`, where hardness was requested.
        steps_px: Whole-pixel steps at 60 Hz, where pixels were requested.
        batch_ids: Ids by which the service reproduces the chunks; none inside a cluster.
    """

    deltas: Float[Tensor, "N T C"]
    length: Int[Tensor, "N"]
    condition: Float[Tensor, "N D"]
    angle: Float[Tensor, "N"]
    number: Int[Tensor, "N"]
    score: Float[Tensor, "N"] | None
    steps_px: Int[Tensor, "N S 2"] | None
    model: str
    weights_sha256: str
    detector: str
    seed: int
    batch_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.deltas)


class ServiceClient(Protocol):
    """Transport of requests: `HttpClient` or `HandleClient`."""

    def sample(self, job: Job) -> ClientResponse:
        """Request the samples of a job."""

    def describe(self) -> dict[str, Any]:
        """Return what `Backend.describe` does."""


class HardNegatives:
    """Client for synthetic movements, sampled by the champion of a service, to train detectors on.

    Every method retries failures that may pass, and raises `ServiceError` with the message of the service for a
    permanent one or when the retries are used up.
    """

    def __init__(
        self,
        url: str = "",
        token: str | None = None,
        *,
        handle: Any = None,
        timeout_s: float = TIMEOUT_S,
        retry: RetryPolicy | None = None,
    ) -> None:
        """Create a client; nothing is sent yet.

        Args:
            url: URL of the service: "http://127.0.0.1:8000".
            token: None: read from the environment variable HUMOUSE_TOKEN, if it is set.
            handle: In place of a URL, inside a Ray cluster: the `DeploymentHandle` of the sampler.
            timeout_s: Timeout of one attempt, which is not retried: it would time out again.

        Raises:
            ConfigError: not exactly one of `url` and `handle`, a malformed URL, or a token that no header can carry.
        """
        one = bool(url) != (handle is not None)
        require(one, "exactly one of `url` and `handle`", "both" if url else "neither")
        self.retry = retry or RetryPolicy()
        self.client: ServiceClient = (
            HttpClient(url, token, timeout_s) if handle is None else _handle_client(handle, timeout_s)
        )

    def __repr__(self) -> str:
        return f"HardNegatives({self.client!r})"

    def sample(self, n: int, **options: Unpack[SampleOptions]) -> Float[Tensor, "N T C"]:
        """Return `n` movements as canonical normalised deltas, float32."""
        return torch.cat(list(self.batches(n, **options)))

    def batches(self, n: int, **options: Unpack[SampleOptions]) -> Iterator[Float[Tensor, "N T C"]]:
        """Yield the same deltas chunk by chunk, as they arrive."""
        return (chunk.deltas for chunk in self.stream(n, **options))

    def fetch(self, n: int, **options: Unpack[SampleOptions]) -> Samples:
        """Return `n` movements with their metadata."""
        return joined(list(self.stream(n, **options)))

    def stream(self, n: int, **options: Unpack[SampleOptions]) -> Iterator[Samples]:
        """Yield `n` movements with their metadata chunk by chunk.

        Raises:
            ConfigError: an option is out of bounds, as far as that is known without the model; before the first chunk.
        """
        job = job_of(n, options)
        rows = CHUNK_ROWS if job.hardness is None else HARDNESS_CHUNK_ROWS
        chunk = options.get("chunk", max(rows // (job.sampling.candidates or 1), 1))
        require(chunk >= 1, "`chunk >= 1`", f"chunk={chunk}")
        return self._chunks(job, chunk)

    def model(self) -> dict[str, Any]:
        """Return the model cards of champion and detector, and the state of the replicas."""
        return self.retry.call(self.client.describe)

    def _chunks(self, whole: Job, chunk: int) -> Iterator[Samples]:
        job, done = whole, 0
        while done < whole.n:
            rows = min(chunk, whole.n - done)
            job = replace(job, n=rows, conditions=_rows_of(whole.conditions, done, rows))
            samples = self._chunk(job)
            yield samples
            done += rows
            job = replace(job, first=int(samples.number[-1]) + 1, model=samples.model, detector=samples.detector)

    def _chunk(self, job: Job) -> Samples:
        result, batch_id = self.retry.call(lambda: self.client.sample(job))
        require_match(job, result)
        arrays: dict[str, Any] = {name: _tensor(getattr(result, name)) for name in ARRAYS}
        origin = {name: getattr(result, name) for name in ("model", "weights_sha256", "detector")}
        return Samples(**arrays, **origin, seed=job.seed, batch_ids=(batch_id,) if batch_id else ())


def job_of(n: int, options: SampleOptions) -> Job:
    """Return a whole sample as one job, however large.

    Raises:
        ConfigError: an option is out of bounds.
    """
    seed, conditions = options.get("seed"), options.get("conditions")
    return Job(
        n,
        seq_len=options.get("seq_len", 0),
        seed=secrets.randbelow(SEED_LIMIT) if seed is None else seed,
        conditions=() if conditions is None else tuple(tuple(map(float, row)) for row in conditions),
        distribution=options.get("distribution", TRAINING),
        source=options.get("source", ""),
        sampling=SamplingChanges(
            sampler=options.get("sampler"),
            steps=options.get("steps"),
            guidance=options.get("guidance"),
            candidates=options.get("candidates"),
        ),
        hardness=options.get("hardness"),
        pixels=options.get("pixels", False),
        model=options.get("model", ""),
        detector=options.get("detector", ""),
    )


def require_match(job: Job, result: SampleResult) -> None:
    """Raise `ServiceError` where the rows, the champion or the detector of a result are not those of the job."""
    number, rows = result.number, np.arange(job.first, job.first + job.n)
    if job.hardness is None:
        matches = np.array_equal(number, rows)
    else:
        matches = len(number) == job.n and bool((np.diff(number, prepend=job.first - 1) > 0).all())
    for name, wanted in (("model", job.model), ("detector", job.detector)):
        matches = matches and wanted in ("", getattr(result, name))
    if not matches or len(result.deltas) != job.n:
        raise ServiceError(
            f"the response does not match the request: expected rows {job.first} to {job.first + job.n - 1} of "
            f"{job.model or 'the champion'}, but got {len(result.deltas)} rows of {result.model}"
        )


def joined(chunks: Sequence[Samples]) -> Samples:
    """Concatenate the chunks of one sample; pixel steps are padded to the longest with zeros."""
    longest = max((chunk.steps_px.shape[1] for chunk in chunks if chunk.steps_px is not None), default=0)
    parts = {name: [getattr(chunk, name) for chunk in chunks] for name in ARRAYS}
    if chunks[0].steps_px is not None:
        pad = torch.nn.functional.pad
        parts["steps_px"] = [pad(part, (0, 0, 0, longest - part.shape[1])) for part in parts["steps_px"]]
    arrays: dict[str, Any] = {name: None if part[0] is None else torch.cat(part) for name, part in parts.items()}
    batch_ids = tuple(batch_id for chunk in chunks for batch_id in chunk.batch_ids)
    return replace(chunks[0], **arrays, batch_ids=batch_ids)


def _rows_of(conditions: tuple[tuple[float, ...], ...], start: int, rows: int) -> tuple[tuple[float, ...], ...]:
    return conditions[start : start + rows] if len(conditions) > 1 else conditions


def _tensor(array: Any) -> Tensor | None:
    """Return a tensor with its own memory: arrays that Ray transfers are read-only."""
    return None if array is None else torch.from_numpy(np.array(array))


def _handle_client(handle: Any, timeout_s: float) -> ServiceClient:
    from serve.inside import HandleClient  # importing Ray takes seconds, and a client over HTTP does not need it

    return HandleClient(handle, timeout_s)
