"""Changes of the registry: publications, rollbacks, and refusals written down; one process at a time.

A publication copies the checkpoint into a hidden folder, flushes it, verifies the copy as a reader will, renames the
folder into the history, lets the link name it, and writes a line into the log. Each step is atomic and the link is the
truth: the next process that locks the registry writes the missing line, and removes what no link has ever named.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainables.core.atomic_files import (
    LOCK,
    append,
    drop_partial_line,
    flush,
    replace_symlink,
    staging_path,
    try_lock,
)
from trainables.core.formatting import now
from trainables.model_registry.registry import (
    CHAMPION,
    CHECKPOINT,
    DECISION,
    DECISIONS,
    HISTORY,
    LOG,
    Published,
    Registry,
    RegistryError,
    lineage_of,
    number_of,
    verified,
)
from trainables.training.checkpoint import RECORD, WEIGHTS, file_sha256, load_checkpoint
from trainables.training.checkpoint_record import SELECTOR


@dataclass(frozen=True)
class Publisher:
    """Changes a registry; given by `held` alone."""

    registry: Registry

    def publish(self, checkpoint: Path, decision: Mapping[str, Any]) -> Published:
        """Make a copy of `checkpoint` the champion, with the decision and its reason.

        Raises:
            CheckpointError: the checkpoint, or the selector in its folder, is not whole.
            RegistryError: the registry cannot be written; the message names the present champion.
        """
        _, record = load_checkpoint(checkpoint)
        if (checkpoint / SELECTOR).exists():
            load_checkpoint(checkpoint / SELECTOR)
        history = self.registry.history()
        number = 1 + (number_of(history[-1]) if history else 0)
        name = f"{number:04d}-{record['weights_sha256'][:12]}"
        with self._writing():
            self._add(name, checkpoint, decision)
            self._set_champion(name)
        return self.registry.entry(name)

    def rollback(self) -> tuple[Published, tuple[str, ...]]:
        """Make the champion before the present one champion again; with those passed over because they are not whole.

        Where the link is damaged, the last champion is the one before.

        Raises:
            RegistryError: there is none before.
        """
        passed: list[str] = []
        for name in reversed(self._before()):
            try:
                entry = self.registry.entry(name)
            except RegistryError:
                passed.append(name)
                continue
            with self._writing():
                self._set_champion(name)
            return entry, tuple(passed)
        broken = f" ({', '.join(passed)}: incomplete)" if passed else ""
        raise RegistryError(f"{self.registry.path}: no earlier champion to roll back to{broken}; the champion stays")

    def refuse(self, weights_sha256: str, decision: Mapping[str, Any]) -> Path:
        """Write down a decision against a checkpoint; the file."""
        time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        folder = self.registry.path / DECISIONS / f"{time}-refused-{weights_sha256[:12]}"
        with self._writing():
            staging = _emptied(staging_path(folder))
            append(staging / DECISION, _json(decision))
            _place(staging, folder)
        return folder / DECISION

    def recover(self) -> None:
        """Bring a new registry, or one that a process left in the middle of a change, into order."""
        with self._writing():
            self._recover(self.registry.path, self.registry.path / LOG)

    def _recover(self, path: Path, log: Path) -> None:
        if not (path / HISTORY).exists():
            append(log, "")
            (path / HISTORY).mkdir()
        for folder in (path, path / HISTORY, path / DECISIONS):
            for left in folder.glob(".*"):
                if left.name != LOCK:  # locked right now: the next process would create and lock another one
                    _remove(left)
        if log.exists():
            with log.open("r+b") as stream:
                drop_partial_line(stream)
        self._write_missing_line()
        known = {line["champion"] for line in self.registry.log()}
        newest = max(map(number_of, known), default=0)
        for name in self.registry.history():
            if number_of(name) > newest:
                _remove(path / HISTORY / name)

    def _add(self, name: str, checkpoint: Path, decision: Mapping[str, Any]) -> None:
        """Add a complete entry to the history; no link names it yet."""
        folder = self.registry.path / HISTORY / name
        staging = _emptied(staging_path(folder))
        copy = staging / CHECKPOINT
        _copy(checkpoint, copy)
        published = {"id": name, "time": now(), "record_sha256": file_sha256(copy / RECORD)}
        if (checkpoint / SELECTOR).exists():
            _copy(checkpoint / SELECTOR, copy / SELECTOR)
            published["selector_sha256"] = file_sha256(copy / SELECTOR / RECORD)
        flush(copy)
        append(staging / DECISION, _json({**decision, "published": published}))
        verified(staging, name)
        _place(staging, folder)

    def _set_champion(self, name: str) -> None:
        replace_symlink(self.registry.path / CHAMPION, f"{HISTORY}/{name}")
        self._write_missing_line()

    def _write_missing_line(self) -> None:
        """The line of the last change of the link, where the log has none."""
        lineage, champion = lineage_of(self.registry.log()), self._linked()
        before = lineage[-1] if lineage else None
        if champion in (None, before) or champion not in self.registry.history():
            return
        event = "rollback" if champion in lineage else "publication"
        line = {"time": now(), "event": event, "champion": champion, "before": before}
        append(self.registry.path / LOG, json.dumps(line) + "\n")

    def _before(self) -> list[str]:
        """Return the predecessors of the present champion; every one of the log where the present one is unknown."""
        lineage, champion = lineage_of(self.registry.log()), self._linked()
        return lineage[: lineage.index(champion)] if champion in lineage else lineage

    def _linked(self) -> str | None:
        try:
            return self.registry.champion_id()
        except RegistryError:
            return None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn an error of the disk into one line that names the present champion."""
        try:
            yield
        except OSError as error:
            raise RegistryError(
                f"{self.registry.path}: cannot write there ({error.strerror}); the champion is {self._linked()}"
            ) from None


@contextmanager
def lock_registry(registry: Registry) -> Iterator[Publisher]:
    """A registry held against a second process, and settled after one that ended in the middle of a change.

    Raises:
        RegistryError: it is in use, cannot be written, or its log is damaged.
    """
    try:
        lock = try_lock(registry.path)
    except BlockingIOError:
        raise RegistryError(f"{registry.path}: in use by another process; run the command again later") from None
    except OSError as error:
        raise RegistryError(f"{registry.path}: cannot write there ({error.strerror})") from None
    with lock:
        publisher = Publisher(registry)
        publisher.recover()
        yield publisher


def _copy(checkpoint: Path, folder: Path) -> None:
    """Copy the two files of a checkpoint into a new folder, and flush them."""
    folder.mkdir()
    for file in (WEIGHTS, RECORD):
        shutil.copyfile(checkpoint / file, folder / file)
        flush(folder / file)
    flush(folder)


def _json(decision: Mapping[str, Any]) -> str:
    return json.dumps(decision, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _emptied(folder: Path) -> Path:
    """A new folder, with those above it."""
    _remove(folder)
    folder.mkdir(parents=True)
    return folder


def _place(staging: Path, folder: Path) -> None:
    """Give a finished folder its name."""
    flush(staging)
    staging.rename(folder)
    flush(folder.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
