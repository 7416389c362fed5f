"""Registry watcher: polls the registry's champion link, and swaps the model as soon as it names another champion.

Every replica polls by itself and swaps within `POLL_S` of a promotion, however the application was deployed. Ray's own
mechanism, a new `user_config`, updates a running replica only where the application was deployed from a file; with
`serve run` it restarts the replicas (2 replicas: 6 s without a response). It is used to pin a champion.

A poll costs one `readlink`. A failed swap is retried every `RETRY_S`: shared storage may lag behind.
"""

import threading
import time
from typing import Any

from serve.champions import RegistryModels

POLL_S = 0.5
RETRY_S = 10.0


class RegistryWatcher:
    """Thread that keeps the current model of `models` at the registry's champion, or at a pinned one."""

    def __init__(self, models: RegistryModels[Any], poll_s: float = POLL_S, retry_s: float = RETRY_S) -> None:
        self._models, self._poll_s, self._retry_s = models, poll_s, retry_s
        self._pinned, self._failed_at = "", 0.0
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="registry-watcher", daemon=True)
        self._thread.start()

    def pin(self, champion: str) -> bool:
        """Swap to a champion by id and stay with it, or with "" follow the registry; return whether it is current."""
        with self._lock:
            self._pinned = champion
            return self._noted(self._models.swap(champion))

    def poll(self) -> bool:
        """Swap if the registry has another champion, or retry a failed swap when due; return whether all is well."""
        with self._lock:
            if self._failed_at and time.monotonic() - self._failed_at >= self._retry_s:
                self._failed_at = 0.0
                return self._noted(self._models.swap(self._pinned))
            return bool(self._pinned) or self._noted(self._models.follow())

    def stop(self) -> None:
        """Stop polling; a swap that has begun is finished."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._poll_s):
            self.poll()

    def _noted(self, succeeded: bool) -> bool:
        self._failed_at = 0.0 if succeeded else self._failed_at or time.monotonic()
        return succeeded
