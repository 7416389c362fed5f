"""Hard negatives as tensors: from the service over HTTP, or inside a cluster from the replicas' handle.

    from serve.client import HardNegatives
    negatives = HardNegatives("http://127.0.0.1:8000")
    deltas = negatives.sample(n=2000, seed=7)  # [2000, T, 2]

A large sample is asked for in chunks, which are the whole bit for bit. The first reply decides whose they are: all the
others ask for the same champion by its id, so that a promotion in between mixes nothing. The seed is drawn here if none
is given: a question that is put again after a failure is the same question, and has the same answer.
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
from serve.jobs import SEEDS, Drawn, Job
from serve.patience import Patience, ServiceError
from serve.remote import TIMEOUT_S, Answer, Http
from trainables.core.config import require
from trainables.diffusion.sampling import SamplingChanges

ARRAYS = ("deltas", "length", "condition", "angle", "number", "score", "steps_px")
CHUNK = 512  # rows of one request: some seconds of one core, a quarter of a megabyte at T=64
HARD_CHUNK = 128  # with a hardness, for which 4,096 may be looked through: a minute, and well within the service's time


class Asked(TypedDict, total=False):
    """What may be asked for beside the number of movements; what is left out is as the champion was judged.

    Attributes:
        seq_len: T, where the champion's form allows another than its own.
        seed: Of the whole sample; None: drawn, and told in `Samples.seed`.
        conditions: Raw rows [1 or n, D], columns as in `trainables.data.canonical.CONDITION_NAMES`, NaN for an unknown
            target width.
        distribution: Where conditions come from that are not given: a name of `serve.distributions.DISTRIBUTIONS`.
        steps, sampler, guidance: As in `trainables.diffusion.sampling.SamplingConfig`.
        hardness: Keep only movements whose score by the published detector lies inside [low, high].
        pixels: Whether `Samples.steps_px` is wanted too.
        model: Id of a champion, past or present.
        detector: Id of the detector of `hardness`, past or present.
        chunk: Most rows of one request; fewer by default where each costs many, with a hardness.
    """

    seq_len: int
    seed: int | None
    conditions: Float[Tensor, "N D"] | Sequence[Sequence[float]] | None
    distribution: str
    steps: int | None
    sampler: str | None
    guidance: float | None
    hardness: tuple[float, float] | None
    pixels: bool
    model: str
    detector: str
    chunk: int


@dataclass(frozen=True, eq=False)
class Samples:
    """N movements with everything that was said of them; all of one champion and one seed.

    Attributes:
        deltas: Canonical normalised deltas, float32: displacements per step in units of the asked net displacement,
            which points along +x; zero after the last step. A sample ends near (1, 0), and seldom on it.
        length: Valid steps.
        condition: Raw, columns as in `trainables.data.canonical.CONDITION_NAMES`.
        angle: Direction on the screen, radians.
        number: Of each row in the endless sample of the seed.
        score: Probability of a bot by `detector`, where hardness was asked for.
        steps_px: Whole-pixel steps at 60 Hz, where pixels were asked for.
        batch_ids: By which the service draws the chunks again; none inside a cluster.
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


class Source(Protocol):
    """Where replies come from."""

    def draw(self, job: Job) -> Answer:
        """The rows of a job."""

    def describe(self) -> dict[str, Any]:
        """As `Backend.describe` says."""


class HardNegatives:
    """Movements that a detector shall learn from, by the champion that a service serves.

    Every method waits and asks again where the service fails for now, and raises `ServiceError` with its own line where
    it refuses or stays away.
    """

    def __init__(
        self,
        url: str = "",
        token: str | None = None,
        *,
        handle: Any = None,
        timeout_s: float = TIMEOUT_S,
        patience: Patience | None = None,
    ) -> None:
        """Ask a service.

        Args:
            url: Of the service: "http://127.0.0.1:8000".
            token: None: that of the environment variable HUMOUSE_TOKEN, if there is one.
            handle: In place of a URL, inside a Ray cluster: the `DeploymentHandle` of the sampler.
            timeout_s: Of one attempt; what takes longer is given up, for it would again.

        Raises:
            ConfigError: not one of `url` and `handle`, a URL that is none, or a token that no header can carry.
        """
        one = bool(url) != (handle is not None)
        require(one, "`url` or `handle`, one of the two", "both" if url else "neither")
        self.patience = patience or Patience()
        self.source: Source = Http(url, token, timeout_s) if handle is None else _inside(handle, timeout_s)

    def __repr__(self) -> str:
        return f"HardNegatives({self.source!r})"

    def sample(self, n: int, **asked: Unpack[Asked]) -> Float[Tensor, "N T C"]:
        """`n` movements: canonical normalised deltas, float32."""
        return torch.cat(list(self.batches(n, **asked)))

    def batches(self, n: int, **asked: Unpack[Asked]) -> Iterator[Float[Tensor, "N T C"]]:
        """The same movements chunk by chunk, as they come."""
        return (chunk.deltas for chunk in self.stream(n, **asked))

    def draw(self, n: int, **asked: Unpack[Asked]) -> Samples:
        """`n` movements with everything that was said of them."""
        return joined(list(self.stream(n, **asked)))

    def stream(self, n: int, **asked: Unpack[Asked]) -> Iterator[Samples]:
        """The same chunk by chunk.

        Raises:
            ConfigError: a value that breaks a law which needs no model to be checked; at once.
        """
        chunk = asked.get("chunk", CHUNK if asked.get("hardness") is None else HARD_CHUNK)
        require(chunk >= 1, "`chunk >= 1`", f"chunk={chunk}")
        return self._chunks(job_of(n, asked), chunk)

    def model(self) -> dict[str, Any]:
        """The card of the champion, the state of its replicas, and the card of the detector."""
        return self.patience.ask(self.source.describe)

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
        drawn, batch_id = self.patience.ask(lambda: self.source.draw(job))
        require_answer(job, drawn)
        arrays: dict[str, Any] = {name: _tensor(getattr(drawn, name)) for name in ARRAYS}
        told = {name: getattr(drawn, name) for name in ("model", "weights_sha256", "detector")}
        return Samples(**arrays, **told, seed=job.seed, batch_ids=(batch_id,) if batch_id else ())


def job_of(n: int, asked: Asked) -> Job:
    """The whole of what is asked for as one job, of however many rows.

    Raises:
        ConfigError: a value breaks its law.
    """
    seed, conditions = asked.get("seed"), asked.get("conditions")
    return Job(
        n,
        seq_len=asked.get("seq_len", 0),
        seed=secrets.randbelow(SEEDS) if seed is None else seed,
        conditions=() if conditions is None else tuple(tuple(map(float, row)) for row in conditions),
        distribution=asked.get("distribution", TRAINING),
        sampling=SamplingChanges(
            sampler=asked.get("sampler"), steps=asked.get("steps"), guidance=asked.get("guidance")
        ),
        hardness=asked.get("hardness"),
        pixels=asked.get("pixels", False),
        model=asked.get("model", ""),
        detector=asked.get("detector", ""),
    )


def require_answer(job: Job, drawn: Drawn) -> None:
    """Raise `ServiceError` where a reply answers another question than the job."""
    number, rows = drawn.number, np.arange(job.first, job.first + job.n)
    if job.hardness is None:
        asked = np.array_equal(number, rows)
    else:
        asked = len(number) == job.n and bool((np.diff(number, prepend=job.first - 1) > 0).all())
    for name, wanted in (("model", job.model), ("detector", job.detector)):
        asked = asked and wanted in ("", getattr(drawn, name))
    if not asked or len(drawn.deltas) != job.n:
        raise ServiceError(
            f"`a reply holds what was asked for` must hold, but rows {job.first} to {job.first + job.n - 1} "
            f"of {job.model or 'the champion'} were asked for and {len(drawn.deltas)} of {drawn.model} came"
        )


def joined(chunks: Sequence[Samples]) -> Samples:
    """Chunks of one sample as one; pixel steps are filled up to the longest with zeros."""
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
    """A tensor of its own memory: what a cluster hands over may not be written to."""
    return None if array is None else torch.from_numpy(np.array(array))


def _inside(handle: Any, timeout_s: float) -> Source:
    from serve.inside import Inside  # Ray takes seconds to load; whoever asks over HTTP need not have it

    return Inside(handle, timeout_s)
