"""Configuration of the service: the model it serves, the address, limits of a request, queue and batch sizes."""

import ipaddress
import math
from dataclasses import dataclass, field

from trainables.core.config import require
from trainables.model_registry.registry import ID


@dataclass(frozen=True)
class LimitsConfig:
    """Upper bounds of one request; a larger request is refused, never truncated."""

    n: int = 4096  # movements; a client fetches more in chunks with `first`, with the same bytes
    steps: int = 100  # network calls per sample; the solvers have converged well below (`benchmarks.solver_error`)
    seq_len: int = 512  # T; 8.5 s at 60 Hz, longer than any movement of the default recordings
    body_bytes: int = 1_000_000  # bytes of a request body; 4096 rows of conditions take about half of it
    json_n: int = 256  # movements as JSON, which takes ten times the bytes and a hundred times the work
    score_n: int = 256  # movements to score
    points: int = 4096  # points of one movement to score: 4 s at 1000 Hz

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require(value >= 1, f"`limits.{name} >= 1`", str(value))
        require(self.json_n <= self.n, "`limits.json_n <= limits.n`", f"json_n={self.json_n}, n={self.n}")


@dataclass(frozen=True)
class BatchConfig:
    """Batching of requests into shared network calls."""

    rows: int = 512  # movements of a batch at most, over all its requests; two windows of the sampler
    wait_fraction: float = 0.25  # longest wait for as many requests as the last batch had, as a fraction of its time

    def __post_init__(self) -> None:
        require(self.rows >= 1, "`batch.rows >= 1`", str(self.rows))
        require(0.0 <= self.wait_fraction <= 1.0, "`0 <= batch.wait_fraction <= 1`", str(self.wait_fraction))


@dataclass(frozen=True)
class ReplicasConfig:
    """Number of processes that hold the model, and the torch threads of each."""

    minimum: int = 1  # replicas that are kept when idle
    maximum: int = 2  # replicas under load
    threads: int = 1  # torch threads per replica; two replicas of one thread each do more than one of two

    def __post_init__(self) -> None:
        got = f"minimum={self.minimum}, maximum={self.maximum}"
        require(1 <= self.minimum <= self.maximum, "`1 <= replicas.minimum <= replicas.maximum`", got)
        require(self.threads >= 1, "`replicas.threads >= 1`", str(self.threads))


@dataclass(frozen=True)
class ServeConfig:
    """Configuration of the whole service."""

    storage_path: str = "results"  # folder of the registry; the audit log and the batch store lie in its `serve/`
    champion: str = ""  # id to serve; "": the registry's champion, followed at every promotion
    token_file: str = ""  # bearer tokens, one per line; the variable HUMOUSE_TOKENS may hold more
    host: str = "127.0.0.1"  # address to listen on; any other than a loopback address needs a token
    port: int = 8000  # port to listen on
    quota: int = 600_000  # movements per minute, per token and ingress process; 0: unlimited
    queue: int = 128  # requests that may wait for a replica; the next one gets 503 with Retry-After
    timeout_s: float = 300.0  # time for one request; the largest one takes a minute at 20 steps
    max_stored_batches: int = 100_000  # requests that can be repeated by batch id; the oldest are deleted first
    max_store_bytes: int = 1_000_000_000  # size of the batch store; a request with n conditions takes half a megabyte
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    replicas: ReplicasConfig = field(default_factory=ReplicasConfig)

    def __post_init__(self) -> None:
        require(bool(self.storage_path), "`storage_path` to be a folder", "an empty text")
        pinned = not self.champion or ID.fullmatch(self.champion) is not None
        require(pinned, "`champion` to be an id such as 0003-9f86d081884c, or empty", repr(self.champion))
        require(bool(self.host), "`host` to be an address", "an empty text", "use 127.0.0.1")
        require(0 <= self.port < 65536, "`0 <= port < 65536`", f"port={self.port}")
        enough = self.quota == 0 or self.quota >= self.limits.n
        require(enough, "`quota = 0` or `quota >= limits.n`", f"quota={self.quota}, limits.n={self.limits.n}")
        require(self.queue >= 1, "`queue >= 1`", f"queue={self.queue}")
        require(0.0 < self.timeout_s < math.inf, "`0 < timeout_s < inf`", f"timeout_s={self.timeout_s}")
        got = f"max_stored_batches={self.max_stored_batches}"
        require(self.max_stored_batches >= 1, "`max_stored_batches >= 1`", got)
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
