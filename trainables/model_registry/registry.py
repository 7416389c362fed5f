"""The registry: the champion, everyone who was champion before, and why; a reader finds it whole at every moment.

    registry/
      champion -> history/0003-9f86d081884c     the one link that readers follow, replaced in one atomic step
      history/0003-9f86d081884c/
        checkpoint/                             a copy of its own, with its selector where it has one
        decision.json                           why it was published, and the hash that ties it to the checkpoint
      decisions/<time>-refused-<hash>/decision.json
      log.jsonl                                 publications and rollbacks in their order
      .lock                                     held while a process changes something

Entries are never changed and never deleted, so that a reader needs no lock; what it cannot verify to the last byte is
an error with its remedy and no champion. `trainables.model_registry.publisher` makes the changes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.core.renamed import metric_today
from trainables.training.checkpoint_record import RECORD, SELECTOR, CheckpointError, file_sha256, load_record

FOLDER = "registry"
CHAMPION = "champion"
HISTORY = "history"
CHECKPOINT = "checkpoint"
DECISION = "decision.json"
DECISIONS = "decisions"
LOG = "log.jsonl"
ID = re.compile(r"\d{4,}-[0-9a-f]{12}")


class RegistryError(RuntimeError):
    """A registry that is damaged, in use, or cannot be written; the message is one line with the remedy."""


@dataclass(frozen=True)
class Published:
    """An entry of the history, verified.

    Attributes:
        id: Number of the publication, and head of the weights' hash.
        path: Its folder, which does not change with the champion.
        decision: Why it was published.
    """

    id: str
    path: Path
    decision: Mapping[str, Any]

    @property
    def checkpoint(self) -> Path:
        """The folder to load."""
        return self.path / CHECKPOINT

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights, by which a checkpoint is known wherever it lies."""
        return str(load_record(self.checkpoint)["weights_sha256"])


@dataclass(frozen=True)
class Registry:
    """The registry in a folder, for readers."""

    path: Path

    @classmethod
    def below(cls, storage_path: str | Path, folder: str = FOLDER) -> "Registry":
        """The registry of a storage path."""
        return cls(Path(storage_path).expanduser().resolve() / folder)

    def champion(self) -> Published | None:
        """The champion, verified to the last byte; None where nothing was ever published.

        Raises:
            RegistryError: something was published, and what stands there is not whole.
        """
        champion = self.champion_id()
        return None if champion is None else self.entry(champion)

    def champion_id(self) -> str | None:
        """Return the id that the link names, without reading the entry: cheap enough to be polled.

        Raises:
            RegistryError: no link into the history, or none where there must be one.
        """
        link = self.path / CHAMPION
        target = _target(link)
        if target is None:
            if not self._was_published():
                return None
            target = _target(link)  # it may have been published since the first look
        folder, _, name = (target or "").partition("/")
        if folder == HISTORY and ID.fullmatch(name):
            return name
        first = "move it away (copy registries with cp -a), then " if target == "" else ""
        raise RegistryError(f"{link}: not a link to an entry of {HISTORY}; {first}{remedy(self.path)}")

    def entry(self, name: str) -> Published:
        """An entry of the history.

        Raises:
            RegistryError: it is not there or not whole.
        """
        return verified(self.path / HISTORY / name, name)

    def history(self) -> list[str]:
        """The entries that there are, in the order of their publication."""
        folders = (self.path / HISTORY).glob("*")
        return sorted((path.name for path in folders if ID.fullmatch(path.name)), key=number_of)

    def refusals(self) -> list[Path]:
        """The decisions that refused, in the order of time."""
        return sorted((self.path / DECISIONS).glob(f"[!.]*/{DECISION}"))

    def log(self) -> list[dict[str, Any]]:
        """Publications and rollbacks in their order; a line without its end is being written and is left out.

        Raises:
            RegistryError: the log is missing beside a history, or a line is none of ours.
        """
        file = self.path / LOG
        if not file.exists() and (self.path / HISTORY).exists():
            raise RegistryError(f"{file}: no such file, but it records the order of champions; restore it from a copy")
        whole = file.read_text(errors="replace").rpartition("\n")[0] if file.exists() else ""
        return [_line(file, number, text) for number, text in enumerate(whole.splitlines(), start=1)]

    def _was_published(self) -> bool:
        file = self.path / LOG
        return file.exists() and b"\n" in file.read_bytes()


def _target(link: Path) -> str | None:
    """Return what a link names, in one look; None where there is nothing, and "" for anything but a link."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return None
    except OSError:
        return ""


def lineage_of(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """Champions, each after the one that a rollback from it brings back; the last is the present one.

    >>> lineage_of([{"champion": "1"}, {"champion": "2"}, {"champion": "1"}, {"champion": "3"}])
    ['1', '3']
    """
    lineage: list[str] = []
    for line in log:
        name = line["champion"]
        lineage = [*(lineage[: lineage.index(name)] if name in lineage else lineage), name]
    return lineage


def remedy(registry: Path) -> str:
    """Return what to do about an incomplete champion."""
    which = "" if registry.name == FOLDER else f" registry={registry.name}"
    return f"bring the champion before it back with `python -m platform.promote rollback{which}`"


def verified(folder: Path, name: str) -> Published:
    """Return the entry in a folder, if its decision describes the checkpoint beside it and that is complete.

    Args:
        folder: Two levels below its registry.

    Raises:
        RegistryError: otherwise.
    """
    from trainables.training.checkpoint import load_checkpoint  # torch, which no other reader of the registry needs

    help_ = remedy(folder.parent.parent)
    try:
        decision = json.loads((folder / DECISION).read_text())
        published = decision["published"]
        checkpoint, selector = folder / CHECKPOINT, folder / CHECKPOINT / SELECTOR
        fitted = file_sha256(selector / RECORD) if selector.exists() else None
        found = {"id": name, "record_sha256": file_sha256(checkpoint / RECORD), "selector_sha256": fitted}
        if any(published.get(key) != value for key, value in found.items()):
            raise RegistryError(f"{folder}: {DECISION} describes another checkpoint; {help_}")
        load_checkpoint(checkpoint)
        if fitted is not None:
            load_checkpoint(selector)
        decision = decision_today(decision)
    except CheckpointError as error:
        raise RegistryError(f"{error}; {help_}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{folder}: {DECISION} or {RECORD} cannot be read ({error!r}); {help_}") from None
    return Published(name, folder, decision)


def decision_today(decision: Mapping[str, Any]) -> dict[str, Any]:
    """Return a decision as an older version wrote it, with today's names of metrics and keys."""
    data, figures = dict(decision.get("data", {})), decision.get("figures", {})
    if "part" in data:
        data["split"] = data.pop("part")
    return {**decision, "data": data, "figures": {metric_today(name): figure for name, figure in figures.items()}}


def number_of(name: str) -> int:
    """The number of a publication, from 1."""
    return int(name.partition("-")[0])


def _line(file: Path, number: int, text: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
        if ID.fullmatch(line["champion"]) and {"time", "event", "before"} <= set(line):
            return dict(line)
    except (KeyError, TypeError, ValueError):
        pass
    raise RegistryError(f"{file}, line {number}: not a line of this log; restore the file from a copy")
