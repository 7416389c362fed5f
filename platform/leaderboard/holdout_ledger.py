"""The ledger of the holdout split: every look at it is written down before it is taken, and there are only so many.

The holdout split can say how good a generator is as long as nothing was chosen by it. Each further checkpoint that is
judged on it wears it out, so that the looks at the same data are counted over all studies and promotions of a storage
path, and refused beyond their budget.

One JSON object per line, appended under a lock and on the disk before anything else happens:

    {"event": "look", KEY, "time": ..., "study": ..., "trial": ..., "checkpoint": ...}
    {"event": "judgement", KEY, "time": ..., "judgement": {...}}
    KEY:  "checkpoint_sha256": ..., "config_hash": ..., "data_sha256": ..., "seeds": [...]

A look of the same key as an earlier one (the same weights, sampled alike under the same noise) costs nothing and has
the answer of then. One whose process died before its judgement was written, or which other code than today's answered,
has been paid for: it is taken again free.
"""

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from trainables.core.atomic_files import flush
from trainables.core.config import digest
from trainables.core.formatting import now
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint_record import load_record

LEDGER = "holdout.jsonl"  # in the storage path
HOLDOUT = "holdout"

Key = tuple[str, str, str, tuple[int, ...]]
Entry = Mapping[str, Any]


class HoldoutSpentError(RuntimeError):
    """There is no look left at the holdout split of these data."""


class LedgerError(RuntimeError):
    """The ledger cannot be read or written."""


@dataclass(frozen=True)
class Look:
    """One checkpoint on the holdout split, under some noises.

    Attributes:
        study: Who asks, with `trial`; for the reader of the ledger.
    """

    checkpoint: Path
    seeds: tuple[int, ...]
    checkpoint_sha256: str
    config_hash: str
    data_sha256: str
    study: str = ""
    trial: int | None = None

    @classmethod
    def at(cls, checkpoint: Path, seeds: Sequence[int], study: str = "", trial: int | None = None) -> "Look":
        """The look that a checkpoint would take.

        Raises:
            CheckpointError: the checkpoint has no record.
        """
        record = load_record(checkpoint)
        weights, data = str(record.get("weights_sha256")), str(record.get("data_sha256"))
        return cls(checkpoint, tuple(seeds), weights, digest(record.get("config")), data, study, trial)

    @property
    def key(self) -> Key:
        """What makes looks the same."""
        return self.checkpoint_sha256, self.config_hash, self.data_sha256, self.seeds


@dataclass(frozen=True)
class Ledger:
    """The looks at a storage path's holdout split.

    Attributes:
        budget: Looks that one set of data allows for in all.
    """

    path: Path
    budget: int

    def ask(self, look: Look, run: Callable[[Path, str, Sequence[int]], EvaluationResult]) -> EvaluationResult:
        """The judgement of a look: of the ledger, or else computed after it was written down.

        Raises:
            HoldoutSpentError: a new look, and none is left.
            LedgerError: the ledger is damaged or cannot be written.
        """
        known = self.judgement(look)
        if known is not None:
            return known
        self.write_down(look)
        judgement = run(look.checkpoint, HOLDOUT, look.seeds)
        self.answer(look, judgement)
        return judgement

    def judgement(self, look: Look) -> EvaluationResult | None:
        """What an earlier look of the same key found by today's code."""
        mine = (entry for entry in self._entries() if entry["event"] == "judgement" and _key(entry) == look.key)
        return next((found for found in map(_judgement, mine) if found.is_of_today), None)

    def looks(self, data_sha256: str) -> int:
        """How many looks at these data have been written down."""
        return _looks(self._entries(), data_sha256)

    def write_down(self, look: Look) -> None:
        """Count a look, once. Raises as `ask` does."""
        with self._held() as stream:
            entries = list(_parsed(stream.read(), self.path))
            if any(entry["event"] == "look" and _key(entry) == look.key for entry in entries):
                return
            spent = _looks(entries, look.data_sha256)
            if spent >= self.budget:
                raise HoldoutSpentError(
                    f"{self.path}: expected `looks at the holdout split < {self.budget}` for another one, but these "
                    f"data have had {spent}; record new people, or raise the budget and believe its figures less"
                )
            asker = {"study": look.study, "trial": look.trial, "checkpoint": str(look.checkpoint)}
            _append(stream, {"event": "look", "time": now(), **asker, **_plain(look.key)})

    def answer(self, look: Look, judgement: EvaluationResult) -> None:
        """Keep the judgement of a look."""
        with self._held() as stream:
            list(_parsed(stream.read(), self.path))
            answer = {**_plain(look.key), "judgement": judgement.to_json()}
            _append(stream, {"event": "judgement", "time": now(), **answer})

    def _entries(self) -> list[Entry]:
        try:
            return list(_parsed(self.path.read_bytes(), self.path)) if self.path.exists() else []
        except OSError as error:
            raise LedgerError(f"{self.path}: cannot be read ({error.strerror})") from None

    @contextmanager
    def _held(self) -> Iterator[IO[bytes]]:
        """The file, for this process alone; a line that was cut when its writer died is taken away."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                stream.seek(0)
                stream.truncate(stream.read().rfind(b"\n") + 1)
                flush(self.path.parent)
                stream.seek(0)
                yield stream
        except OSError as error:
            raise LedgerError(f"{self.path}: cannot be written ({error.strerror})") from None


def _append(stream: IO[bytes], entry: Entry) -> None:
    stream.write(json.dumps(entry, sort_keys=True, allow_nan=False).encode() + b"\n")
    stream.flush()
    flush(Path(stream.name))


def _parsed(content: bytes, path: Path) -> Iterator[Entry]:
    """The entries of whole lines; what follows the last line end was never finished, and counts for nothing.

    Raises:
        LedgerError: a line that is none of ours.
    """
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            entry = json.loads(line)
            _check(entry)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise LedgerError(f"{path}, line {number}: damaged ({reason}); restore the file from a copy") from None
        yield entry


def _check(entry: Entry) -> None:
    """Whatever is wrong with an entry is raised, as what it is."""
    _key(entry)
    if entry["event"] == "judgement":
        _judgement(entry)
    elif entry["event"] != "look":
        raise ValueError(f"no such event: {entry['event']}")


def _looks(entries: Sequence[Entry], data_sha256: str) -> int:
    return sum(entry["event"] == "look" and entry["data_sha256"] == data_sha256 for entry in entries)


def _key(entry: Entry) -> Key:
    hashes = str(entry["checkpoint_sha256"]), str(entry["config_hash"]), str(entry["data_sha256"])
    return *hashes, tuple(entry["seeds"])


def _judgement(entry: Entry) -> EvaluationResult:
    return EvaluationResult.from_json(entry["judgement"])


def _plain(key: Key) -> dict[str, Any]:
    names = "checkpoint_sha256", "config_hash", "data_sha256", "seeds"
    return dict(zip(names, key, strict=True))
