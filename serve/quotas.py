"""Rate limit: movements per minute for each token; each counts as often as it has candidates."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serve.jobs import ServeError


class QuotaError(ServeError):
    """More movements than the quota of the token allows."""

    status = 429


class Quotas:
    """Token-bucket rate limiter: one bucket of movements per token, refilled within a minute."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._left: dict[str, tuple[float, float]] = {}  # name -> movements left, and the time of that count

    def take(self, name: str, rows: int) -> None:
        """Take `rows` from the bucket of `name`.

        Raises:
            QuotaError: the bucket holds fewer; the error has the time until it holds them.
        """
        if self._per_minute == 0:
            return
        now = self._clock()
        left, since = self._left.get(name, (float(self._per_minute), now))
        left = min(left + (now - since) * self._per_minute / 60.0, float(self._per_minute))
        self._left[name] = (left, now)
        if rows > left:
            error = QuotaError(f"quota of {self._per_minute} movements per minute exceeded; retry later")
            error.retry_after_s = int((rows - left) * 60.0 / self._per_minute) + 1
            raise error
        self._left[name] = (left - rows, now)

    @contextmanager
    def charge(self, name: str, rows: int) -> Iterator[None]:
        """Take `rows` around the work for them; refund them where the service fails, not where the client errs.

        Raises:
            QuotaError: as `take`.
        """
        self.take(name, rows)
        try:
            yield
        except ServeError as error:
            if error.status >= 500 and name in self._left:
                left, since = self._left[name]
                self._left[name] = (left + rows, since)
            raise
