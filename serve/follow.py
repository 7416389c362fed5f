"""Follows the registry: as soon as its link names another champion, the replica changes to it.

Every replica follows by itself, within `EVERY_S` of a promotion, in whatever way the application was deployed. Ray's
own way, a new `user_config` from outside, changes a replica as it runs only where the application came from a file; one
that came with `serve run` is started anew by it (2 replicas: 6 s without a reply). It is the way to pin a champion.

A look costs one `readlink`. A change that failed is tried again every `AGAIN_S`: a shared storage may lag behind.
"""

import threading
import time
from typing import Any

from serve.champions import Champions

EVERY_S = 0.5
AGAIN_S = 10.0


class Follower:
    """Keeps the present entry of `champions` the one that is wanted: the registry's champion, or a pinned one."""

    def __init__(self, champions: Champions[Any], every_s: float = EVERY_S, again_s: float = AGAIN_S) -> None:
        self._champions, self._every_s, self._again_s = champions, every_s, again_s
        self._pinned, self._failed_at = "", 0.0
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow-registry", daemon=True)
        self._thread.start()

    def want(self, pinned: str) -> bool:
        """Change to a champion by its id, or with "" to the registry's, and stay with that; whether it serves now."""
        with self._lock:
            self._pinned = pinned
            return self._noted(self._champions.swap(pinned))

    def look(self) -> bool:
        """Change if the registry has another champion, or if a change failed a while ago; whether all is well."""
        with self._lock:
            if self._failed_at and time.monotonic() - self._failed_at >= self._again_s:
                self._failed_at = 0.0
                return self._noted(self._champions.swap(self._pinned))
            return bool(self._pinned) or self._noted(self._champions.follow())

    def stop(self) -> None:
        """Follow no longer; a change that has begun comes to its end."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self.look()

    def _noted(self, serves: bool) -> bool:
        self._failed_at = 0.0 if serves else self._failed_at or time.monotonic()
        return serves
