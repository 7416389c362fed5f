"""The configuration of the service: whom it serves, where it listens, what a request may ask, how much waits."""

import ipaddress
import math
from dataclasses import dataclass, field

from trainables.core.config import require
from trainables.model_registry.registry import ID


@dataclass(frozen=True)
class LimitsConfig:
    """The most that one request may ask for; more is refused, never cut down."""

    n: int = 4096  # movements; a client asks for more in chunks by `first`, with the same bytes
    steps: int = 100  # network calls per sample; the solvers have converged well below (`benchmarks.solver_error`)
    seq_len: int = 512  # T; 8.5 s at 60 Hz, longer than any movement of the default recordings
    body_bytes: int = 1_000_000  # 4096 rows of conditions take about half of it
    json_n: int = 256  # movements as JSON, which takes ten times the bytes and a hundred times the work
    score_n: int = 256  # movements to score
    points: int = 4096  # of one movement to score: 4 s at 1000 Hz

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require(value >= 1, f"`limits.{name} >= 1`", str(value))
        require(self.json_n <= self.n, "`limits.json_n <= limits.n`", f"json_n={self.json_n}, n={self.n}")


@dataclass(frozen=True)
class BatchConfig:
    """Which requests share a network call."""

    rows: int = 512  # movements of a batch, over all its requests; two windows of the sampler
    patience: float = 0.25  # of the time of the last pass, until as many requests are there as that had

    def __post_init__(self) -> None:
        require(self.rows >= 1, "`batch.rows >= 1`", str(self.rows))
        require(0.0 <= self.patience <= 1.0, "`0 <= batch.patience <= 1`", str(self.patience))


@dataclass(frozen=True)
class ReplicasConfig:
    """How many processes hold the model, and the torch threads of each."""

    minimum: int = 1
    maximum: int = 2
    threads: int = 1  # two replicas of one thread each do more than one of two

    def __post_init__(self) -> None:
        got = f"minimum={self.minimum}, maximum={self.maximum}"
        require(1 <= self.minimum <= self.maximum, "`1 <= replicas.minimum <= replicas.maximum`", got)
        require(self.threads >= 1, "`replicas.threads >= 1`", str(self.threads))


@dataclass(frozen=True)
class ServeConfig:
    """The whole service."""

    storage_path: str = "results"  # where the registry lies; the requests of batches are kept below its `serve/`
    champion: str = ""  # id to serve; "": whoever the registry's link names, followed at every promotion
    token_file: str = ""  # bearer tokens, one a line; further ones may stand in the variable HUMOUSE_TOKENS
    host: str = "127.0.0.1"  # any other than a loopback address needs a token
    port: int = 8000
    quota: int = 600_000  # movements a minute per token and ingress process; 0: without bound
    queue: int = 128  # requests that may wait for a replica; the next one is told to come back later
    timeout_s: float = 300.0  # from a request's head to its reply; the largest one takes a minute at 20 steps
    kept_batches: int = 100_000  # requests that can be asked for again by batch id; the oldest go first
    kept_bytes: int = 1_000_000_000  # of their file; a request with conditions for each movement takes half a megabyte
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    replicas: ReplicasConfig = field(default_factory=ReplicasConfig)

    def __post_init__(self) -> None:
        require(bool(self.storage_path), "`storage_path` names a folder", "an empty text")
        pinned = not self.champion or ID.fullmatch(self.champion) is not None
        require(pinned, "`champion` is an id such as 0003-9f86d081884c, or empty", repr(self.champion))
        require(bool(self.host), "`host` names an address", "an empty text", "take 127.0.0.1")
        require(0 <= self.port < 65536, "`0 <= port < 65536`", f"port={self.port}")
        enough = self.quota == 0 or self.quota >= self.limits.n
        require(enough, "`quota = 0` or `quota >= limits.n`", f"quota={self.quota}, limits.n={self.limits.n}")
        require(self.queue >= 1, "`queue >= 1`", f"queue={self.queue}")
        require(0.0 < self.timeout_s < math.inf, "`0 < timeout_s < inf`", f"timeout_s={self.timeout_s}")
        require(self.kept_batches >= 1, "`kept_batches >= 1`", f"kept_batches={self.kept_batches}")
        got = f"kept_bytes={self.kept_bytes}, limits.body_bytes={self.limits.body_bytes}"
        require(self.kept_bytes >= 10 * self.limits.body_bytes, "`kept_bytes >= 10 limits.body_bytes`", got)


def is_loopback(host: str) -> bool:
    """Whether an address or name reaches this machine alone.

    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
