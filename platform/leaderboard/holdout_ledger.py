"""Ledger of the holdout split: every evaluation on it is logged before it runs, and their number is limited.

The holdout split estimates the quality of a model as long as no choice was made by it. Every further model that is
evaluated on its users weakens that, so the models evaluated on the same recordings are counted over all studies and
promotions of a storage path, and refused beyond their budget. Recordings are known by their files' contents: another
canonical form of them, such as another sequence length, has the same users and no budget of its own. A model is its
weights and its configuration; under other noise, or on the test split together with the holdout split
(`trainables.data.config.UNSEEN_USERS`), it gives another result and is no further model.

One JSON object per line, appended under a lock and flushed to disk before anything else happens ("look" reserves an
evaluation, "judgement" holds its result; the names are those of the first version, so that every ledger is read):

    {"event": "look", KEY, "recordings_sha256": ..., "time": ..., "study": ..., "trial": ..., "checkpoint": ...}
    {"event": "judgement", KEY, "time": ..., "judgement": {...}}
    KEY:  "checkpoint_sha256": ..., "config_hash": ..., "data_sha256": ..., "split": ..., "seeds": [...]

Lines of older versions have neither split (it is the holdout split) nor recordings: they count for the recordings of
every line with the same `data_sha256`.

An evaluation with the key of an earlier one (the same weights, sampled alike under the same seeds) costs nothing and
returns the recorded result. One whose process died before its result was recorded, or whose result comes from another
version of the code, has been counted already: it is repeated for free.
"""

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from trainables.core.atomic_files import drop_partial_line, flush
from trainables.core.config import ConfigError, build, digest
from trainables.core.formatting import now
from trainables.data.config import DataConfig
from trainables.data.readers.recording_set import RecordingError
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint_record import load_record

LEDGER = "holdout.jsonl"  # in the storage path
HOLDOUT = "holdout"

Key = tuple[str, str, str, str, tuple[int, ...]]
Model = tuple[str, str]
Entry = Mapping[str, Any]


class HoldoutSpentError(RuntimeError):
    """The budget of holdout evaluations of these recordings is used up."""


class LedgerError(RuntimeError):
    """The ledger cannot be read or written."""


@dataclass(frozen=True)
class HoldoutEvaluation:
    """One checkpoint evaluated on the holdout split under some seeds.

    Attributes:
        split: The holdout split, alone or together with another.
        study: The study or champion that requests it, with `trial`; information for the reader of the ledger.
    """

    checkpoint: Path
    seeds: tuple[int, ...]
    checkpoint_sha256: str
    config_hash: str
    data_sha256: str
    study: str = ""
    trial: int | None = None
    split: str = HOLDOUT

    @classmethod
    def of_checkpoint(
        cls, checkpoint: Path, seeds: Sequence[int], study: str = "", trial: int | None = None, split: str = HOLDOUT
    ) -> "HoldoutEvaluation":
        """Return the evaluation that a checkpoint would need.

        Raises:
            CheckpointError: the checkpoint has no record.
        """
        record = load_record(checkpoint)
        weights, data = str(record.get("weights_sha256")), str(record.get("data_sha256"))
        return cls(checkpoint, tuple(seeds), weights, digest(record.get("config")), data, study, trial, split)

    @property
    def key(self) -> Key:
        """Equal for evaluations that have the same result."""
        return self.checkpoint_sha256, self.config_hash, self.data_sha256, self.split, self.seeds

    @property
    def model(self) -> Model:
        """What is counted once: the weights and the configuration under which they are sampled."""
        return self.checkpoint_sha256, self.config_hash

    def recordings_sha256(self) -> str:
        """Return the hash of the recordings that the checkpoint was trained on.

        That of the data where the checkpoint names no recordings, or they are not where it says: what has been counted
        for the same data counts all the same, and a new evaluation fails without recordings.
        """
        from trainables.data.splits.loading import recordings_sha256  # here: `--help` starts without torch

        data = (load_record(self.checkpoint).get("config") or {}).get("data")
        try:
            return self.data_sha256 if data is None else recordings_sha256(build(DataConfig, data))
        except (ConfigError, RecordingError):
            return self.data_sha256


@dataclass(frozen=True)
class Ledger:
    """Log and limit the holdout evaluations of a storage path.

    Attributes:
        budget: Models that may be evaluated on the same recordings in all.
    """

    path: Path
    budget: int

    def evaluate(
        self, evaluation: HoldoutEvaluation, run: Callable[[Path, str, Sequence[int]], EvaluationResult]
    ) -> EvaluationResult:
        """Return the recorded result, or else reserve the evaluation, `run` it and record the result.

        Raises:
            HoldoutSpentError: it is a new evaluation, and the budget is used up.
            LedgerError: the ledger is damaged or cannot be written.
        """
        known = self.find(evaluation)
        if known is not None:
            return known
        self.reserve(evaluation)
        result = run(evaluation.checkpoint, evaluation.split, evaluation.seeds)
        self.record(evaluation, result)
        return result

    def find(self, evaluation: HoldoutEvaluation) -> EvaluationResult | None:
        """Return the result that the present code recorded under the same key; None if there is none."""
        mine = (entry for entry in self._entries() if entry["event"] == "judgement" and _key(entry) == evaluation.key)
        return next((found for found in map(_evaluation, mine) if found.is_of_today), None)

    def count(self, evaluation: HoldoutEvaluation) -> int:
        """Return how many models have been reserved on the recordings of an evaluation."""
        return len(_models(self._entries(), evaluation.recordings_sha256(), evaluation.data_sha256))

    def reserve(self, evaluation: HoldoutEvaluation) -> None:
        """Count an evaluation, once per model. Raises as `evaluate` does."""
        recordings = evaluation.recordings_sha256()
        with self._locked() as stream:
            entries = list(_parse(stream.read(), self.path))
            if any(entry["event"] == "look" and _key(entry) == evaluation.key for entry in entries):
                return
            spent = _models(entries, recordings, evaluation.data_sha256)
            if evaluation.model not in spent and len(spent) >= self.budget:
                raise HoldoutSpentError(
                    f"{self.path}: expected `models evaluated on the holdout users of these recordings < {self.budget}`"
                    f", but got {len(spent)}; record new users, or raise the budget and trust its metrics less"
                )
            requester = {"study": evaluation.study, "trial": evaluation.trial, "checkpoint": str(evaluation.checkpoint)}
            known = {"recordings_sha256": recordings, **_plain(evaluation.key)}
            _append(stream, {"event": "look", "time": now(), **requester, **known})

    def record(self, evaluation: HoldoutEvaluation, result: EvaluationResult) -> None:
        """Record the result of a reserved evaluation."""
        with self._locked() as stream:
            list(_parse(stream.read(), self.path))
            record = {**_plain(evaluation.key), "judgement": result.to_json()}
            _append(stream, {"event": "judgement", "time": now(), **record})

    def _entries(self) -> list[Entry]:
        try:
            return list(_parse(self.path.read_bytes(), self.path)) if self.path.exists() else []
        except OSError as error:
            raise LedgerError(f"{self.path}: cannot be read ({error.strerror})") from None

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        """Open the file for this process alone; an incomplete last line, whose writer was killed, is removed."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                drop_partial_line(stream)
                flush(self.path.parent)
                stream.seek(0)
                yield stream
        except OSError as error:
            raise LedgerError(f"{self.path}: cannot be written ({error.strerror})") from None


def _append(stream: IO[bytes], entry: Entry) -> None:
    stream.write(json.dumps(entry, sort_keys=True, allow_nan=False).encode() + b"\n")
    stream.flush()
    flush(Path(stream.name))


def _parse(content: bytes, path: Path) -> Iterator[Entry]:
    """Yield the entries of complete lines; what follows the last line end was never completed and does not count.

    Raises:
        LedgerError: a line is no entry of a ledger.
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
    """Raise whatever is wrong with an entry, as it is."""
    _key(entry)
    if entry["event"] == "judgement":
        _evaluation(entry)
    elif entry["event"] != "look":
        raise ValueError(f"no such event: {entry['event']}")


def _models(entries: Sequence[Entry], recordings: str, data_sha256: str) -> set[Model]:
    """Return the models reserved on recordings; a line without any belongs to those of every line of the same data."""
    looks = [entry for entry in entries if entry["event"] == "look"]
    of_data = {entry.get("recordings_sha256", recordings) for entry in looks if entry["data_sha256"] == data_sha256}
    same = of_data | {recordings}
    alike = {entry["data_sha256"] for entry in looks if entry.get("recordings_sha256") in same} | {data_sha256}
    return {
        _key(entry)[:2]
        for entry in looks
        if entry.get("recordings_sha256") in same
        or ("recordings_sha256" not in entry and entry["data_sha256"] in alike)
    }


def _key(entry: Entry) -> Key:
    hashes = str(entry["checkpoint_sha256"]), str(entry["config_hash"]), str(entry["data_sha256"])
    return *hashes, str(entry.get("split", HOLDOUT)), tuple(entry["seeds"])


def _evaluation(entry: Entry) -> EvaluationResult:
    return EvaluationResult.from_json(entry["judgement"])


def _plain(key: Key) -> dict[str, Any]:
    names = "checkpoint_sha256", "config_hash", "data_sha256", "split", "seeds"
    return dict(zip(names, key, strict=True))
