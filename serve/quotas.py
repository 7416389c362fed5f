"""How many movements each token may still ask for."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serve.jobs import ServeError


class QuotaError(ServeError):
    """More movements than the quota of a token."""

    status = 429


class Quotas:
    """Movements that each token may still ask for: a bucket that a minute fills."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._left: dict[str, tuple[float, float]] = {}  # name -> movements left, when that was so

    def take(self, name: str, rows: int) -> None:
        """Take `rows` out of the bucket of `name`.

        Raises:
            QuotaError: they are not in it; it says when they will be.
        """
        if self._per_minute == 0:
            return
        now = self._clock()
        left, since = self._left.get(name, (float(self._per_minute), now))
        left = min(left + (now - since) * self._per_minute / 60.0, float(self._per_minute))
        self._left[name] = (left, now)
        if rows > left:
            error = QuotaError(f"`{self._per_minute} movements a minute` are this token's quota; ask again later")
            error.retry_after_s = int((rows - left) * 60.0 / self._per_minute) + 1
            raise error
        self._left[name] = (left - rows, now)

    @contextmanager
    def taken(self, name: str, rows: int) -> Iterator[None]:
        """The same around what is done for it: given back where the service fails, not whoever asked.

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
