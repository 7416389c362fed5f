"""Retries of a client with exponential backoff and jitter, for failures that may pass.

The wait before attempt k + 1 is uniform in [d/2, d] with d = min(first_wait_s 2^(k-1), max_wait_s), so clients that
failed together do not retry together. Where the service sends `Retry-After`, the wait is at least that long.
"""

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from serve.jobs import ServeError
from trainables.core.config import require

T = TypeVar("T")
RETRYABLE = (500, 502, 503)  # statuses that may pass; not 504: the same request would take as long again


class ServiceError(ServeError):
    """Error response of the service, with its message; `status` is the HTTP status, 0 without a response."""

    def __init__(self, line: str, status: int = 0) -> None:
        super().__init__(line, status)  # all arguments, so that pickling keeps them
        self.line, self.status = line, status

    def __str__(self) -> str:
        return self.line


class RetryableError(ServiceError):
    """Failure that may pass; `min_wait_s` is the least to wait before a retry."""

    def __init__(self, line: str, status: int = 0, min_wait_s: float = 0.0) -> None:
        super().__init__(line, status)
        self.args, self.min_wait_s = (line, status, min_wait_s), min_wait_s


@dataclass(frozen=True)
class RetryPolicy:
    """Number of attempts, and the waits between them."""

    attempts: int = 8  # with the waits below 15 s on average: a replica that died is replaced within ten
    first_wait_s: float = 0.2
    max_wait_s: float = 5.0  # of one wait, unless the service requests a longer one
    max_retry_after_s: float = 60.0  # longest wait that the service may request; beyond it the client gives up

    def __post_init__(self) -> None:
        require(self.attempts >= 1, "`attempts >= 1`", f"attempts={self.attempts}")
        got = ", ".join(f"{name}={value}" for name, value in vars(self).items() if name != "attempts")
        holds = 0 <= self.first_wait_s <= self.max_wait_s <= self.max_retry_after_s < math.inf
        require(holds, "`0 <= first_wait_s <= max_wait_s <= max_retry_after_s < inf`", got)

    def wait_s(self, attempt: int, min_wait_s: float = 0.0) -> float:
        """Return the wait after a failed attempt, counted from 1."""
        full = min(self.first_wait_s * 2.0 ** min(attempt - 1, 60), self.max_wait_s)
        return max(random.uniform(full / 2, full), min_wait_s)

    def call(self, request: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
        """Return the result of `request`, which is repeated where it raises a `RetryableError`.

        Raises:
            ServiceError: a permanent error, or the last one where the attempts are used up.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return request()
            except RetryableError as error:
                if attempt == self.attempts or error.min_wait_s > self.max_retry_after_s:
                    tried = f"{attempt} attempt{'s' if attempt > 1 else ''}"
                    raise ServiceError(f"{error.line} (given up after {tried})", error.status) from None
                sleep(self.wait_s(attempt, error.min_wait_s))
        raise AssertionError("the last attempt returns or raises")
