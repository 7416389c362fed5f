"""How a client waits for a service that cannot answer for now: again, later and later, and not without end.

The wait before attempt k + 1 is drawn from [d/2, d] with d = min(first_s 2^(k-1), longest_s): clients that failed
together do not come back together. Where the service names a time, that is the least.
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
PASSING = (500, 502, 503)  # statuses that the same question may not meet again; it would be too slow (504) once more


class ServiceError(ServeError):
    """What a service said in place of a reply, in its own line; `status` is that of HTTP, 0 where nobody answered."""

    def __init__(self, line: str, status: int = 0) -> None:
        super().__init__(line, status)  # all arguments, so that a copy from another process is whole
        self.line, self.status = line, status

    def __str__(self) -> str:
        return self.line


class PassingError(ServiceError):
    """A failure that the same question may not meet again; `wait_s` is the least to wait before."""

    def __init__(self, line: str, status: int = 0, wait_s: float = 0.0) -> None:
        super().__init__(line, status)
        self.args, self.wait_s = (line, status, wait_s), wait_s


@dataclass(frozen=True)
class Patience:
    """How often to ask, and how long to wait in between."""

    attempts: int = 8  # with the waits below 15 s on average: a replica that died is back after ten
    first_s: float = 0.2
    longest_s: float = 5.0  # of one wait, unless the service names a time
    most_s: float = 60.0  # that the service may name; it is given up at once if it names a longer one

    def __post_init__(self) -> None:
        require(self.attempts >= 1, "`attempts >= 1`", f"attempts={self.attempts}")
        got = f"first_s={self.first_s}, longest_s={self.longest_s}, most_s={self.most_s}"
        holds = 0 <= self.first_s <= self.longest_s <= self.most_s < math.inf
        require(holds, "`0 <= first_s <= longest_s <= most_s < inf`", got)

    def wait_s(self, attempt: int, named_s: float = 0.0) -> float:
        """The wait after a failed attempt, counted from 1."""
        full = min(self.first_s * 2.0 ** min(attempt - 1, 60), self.longest_s)
        return max(random.uniform(full / 2, full), named_s)

    def ask(self, question: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
        """The answer to a question that is put again where it fails with a `PassingError`.

        Raises:
            ServiceError: the answer is an error that stays, or the attempts are used up; then with the last one's line.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return question()
            except PassingError as error:
                if attempt == self.attempts or error.wait_s > self.most_s:
                    tried = f"{attempt} attempt{'s' if attempt > 1 else ''}"
                    raise ServiceError(f"{error.line} (given up after {tried})", error.status) from None
                sleep(self.wait_s(attempt, error.wait_s))
        raise AssertionError("the last attempt returns or raises")
