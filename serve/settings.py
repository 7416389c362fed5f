"""Configuration of the service: the model it serves, the address, limits of a request, queue and batch sizes."""

import ipaddress
from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import Folder, NonNegativeInt, PositiveFloat, PositiveInt, Range, Share, Text, check
from trainables.core.config import require
from trainables.model_registry.registry import ID


@dataclass(frozen=True)
class LimitsConfig:
    """Upper bounds of one request; a larger request is refused, never truncated."""

    # movements, each counted as often as it has candidates; a client fetches more in chunks with `first`, with the same
    # bytes
    n: PositiveInt = 4096
    # network calls per sample; the solvers have converged well below 100 (`benchmarks.solver_error`)
    steps: PositiveInt = 100
    seq_len: PositiveInt = 512  # T; 8.5 s at 60 Hz, longer than any movement of the default recordings
    body_bytes: PositiveInt = 1_000_000  # bytes of a request body; 4096 rows of conditions take about half of it
    json_n: PositiveInt = 256  # movements as JSON, which takes ten times the bytes and a hundred times the work
    score_n: PositiveInt = 256  # movements to score
    points: PositiveInt = 4096  # points of one movement to score: 4 s at 1000 Hz

    def __post_init__(self) -> None:
        check(self)
        require(self.json_n <= self.n, "`limits.json_n <= limits.n`", f"json_n={self.json_n}, n={self.n}")


@dataclass(frozen=True)
class BatchConfig:
    """Batching of requests into shared network calls."""

    # movements of a batch at most, over all its requests, each counted as often as it has candidates; two windows of
    # the sampler
    rows: PositiveInt = 512
    wait_fraction: Share = 0.25  # longest wait for as many requests as the last batch had, as a fraction of its time

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ReplicasConfig:
    """Number of processes that hold the model, and the torch threads of each."""

    minimum: PositiveInt = 1  # replicas that are kept when idle
    maximum: PositiveInt = 2  # replicas under load
    threads: PositiveInt = 1  # torch threads per replica; two replicas of one thread each do more than one of two

    def __post_init__(self) -> None:
        check(self)
        got = f"minimum={self.minimum}, maximum={self.maximum}"
        require(self.minimum <= self.maximum, "`replicas.minimum <= replicas.maximum`", got)


@dataclass(frozen=True)
class ServeConfig:
    """Configuration of the whole service."""

    storage_path: Folder = "results"  # folder of the registry; the audit log and the batch store are in its `serve/`
    # id to serve; empty: the registry's champion, followed at every promotion
    champion: Annotated[str, Text("an id such as 0003-9f86d081884c, or empty", f"({ID.pattern})?")] = ""
    token_file: str = ""  # bearer tokens, one per line; the variable HUMOUSE_TOKENS may hold more
    # address to listen on; any other than a loopback address needs a token
    host: Annotated[str, Text("an address", remedy="use 127.0.0.1")] = "127.0.0.1"
    port: Annotated[int, Range(ge=0, lt=65536)] = 8000  # port to listen on
    # movements per minute, per token and ingress process, each counted as often as it has candidates; 0: unlimited
    quota: NonNegativeInt = 600_000
    queue: PositiveInt = 128  # requests that may wait for a replica; the next one gets 503 with Retry-After
    timeout_s: PositiveFloat = 300.0  # seconds for one request; the largest one takes a minute at 20 steps
    max_stored_batches: PositiveInt = 100_000  # requests that can be repeated by batch id; the oldest are deleted first
    # bytes of the batch store; a request with n conditions takes half a megabyte
    max_store_bytes: PositiveInt = 1_000_000_000
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    replicas: ReplicasConfig = field(default_factory=ReplicasConfig)

    def __post_init__(self) -> None:
        check(self)
        enough = self.quota == 0 or self.quota >= self.limits.n
        require(enough, "`quota = 0` or `quota >= limits.n`", f"quota={self.quota}, limits.n={self.limits.n}")
        got = f"max_store_bytes={self.max_store_bytes}, limits.body_bytes={self.limits.body_bytes}"
        require(self.max_store_bytes >= 10 * self.limits.body_bytes, "`max_store_bytes >= 10 limits.body_bytes`", got)


def is_loopback(host: str) -> bool:
    """Whether an address or name is reachable from this machine only.

    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
