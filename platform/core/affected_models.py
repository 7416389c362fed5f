"""Models below a folder whose training used movements of a user, by the records of their checkpoints.

A detector that was trained with samples of such a model, or on the frozen trunk of one, and files of its samples are
affected as well: they are found by the hash of the weights.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from trainables.core.config import violation
from trainables.data.training_users import PURPOSES, UNKNOWN, TrainingUsers
from trainables.specs import TRAINABLES
from trainables.training.checkpoint_record import DISTILLATION, RECORD, CheckpointError, load_record


class Model(NamedTuple):
    """A checkpoint, or a file of samples, with what a user's movements have to do with it."""

    folder: Path
    kind: str
    reason: str


@dataclass(frozen=True)
class AffectedModels:
    """Models that a user's movements reached, and those of which it is not known."""

    affected: Sequence[Model]
    unknown: Sequence[Model]


def affected_models(runs: Path, user: str) -> AffectedModels:
    """Return the models below a folder that were trained on a user or follow from one that was.

    Raises:
        ConfigError: a folder cannot be read, so that a model may be in it.
    """
    affected: dict[Path, Model] = {}
    unknown: dict[Path, Model] = {}
    records: dict[Path, Mapping[str, Any]] = {}
    made_with: dict[Path, frozenset[str]] = {}
    for folder in checkpoints_below(runs):
        try:
            record = load_record(folder)
            users, parents = TrainingUsers.of_record(record, folder), _parents(record, folder)
        except CheckpointError as error:
            unknown[folder] = Model(folder, "", f"cannot be read: {error}")
            continue
        records[folder], made_with[folder], kind = record, parents, str(record.get("kind", ""))
        found = users.movements_of(user) if users is not None else {}
        if found:
            reason = ", ".join(f"{PURPOSES[split]} {count} of their movements" for split, count in found.items())
            affected[folder] = Model(folder, kind, reason)
        elif users is None and kind in TRAINABLES:
            unknown[folder] = Model(folder, kind, UNKNOWN)
    _add_descendants(affected, records, made_with)
    return AffectedModels(list(affected.values()), [one for one in unknown.values() if one.folder not in affected])


def checkpoints_below(runs: Path) -> Iterator[Path]:
    """Yield the folders with a record, in the order of their names; links to them are not followed.

    Raises:
        ConfigError: a folder cannot be read.
    """
    for at, folders, files in os.walk(runs, onerror=_refuse):
        folders.sort()
        if RECORD in files:
            yield Path(at)


def _refuse(error: OSError) -> None:
    if isinstance(error, FileNotFoundError):
        return  # a run has removed an old epoch meanwhile
    law = f"the folder {error.filename} to be readable, for a model in it may be affected"
    raise violation(law, str(error.strerror), "correct its rights, or name another folder in `runs`")


def _add_descendants(
    affected: dict[Path, Model],
    records: Mapping[Path, Mapping[str, Any]],
    made_with: Mapping[Path, frozenset[str]],
) -> None:
    """Add what was trained with samples or weights of an affected model, until nothing more follows."""
    found = True
    while found:
        weights = {str(records[folder].get("weights_sha256")): folder for folder in affected}
        made_of = {folder: parents & weights.keys() for folder, parents in made_with.items() if folder not in affected}
        found = any(made_of.values())
        for folder, hashes in made_of.items():
            if hashes:
                reason = f"made with {weights[min(hashes)]}, which is affected"
                affected[folder] = Model(folder, str(records[folder].get("kind", "")), reason)


def _parents(record: Mapping[str, Any], folder: Path) -> frozenset[str]:
    """Return the hashes of the weights that a model or a file of samples was made with.

    Raises:
        CheckpointError: one is no text.
    """
    negatives = record.get("negatives")
    negatives = negatives if isinstance(negatives, Mapping) else {}
    models = negatives.get("models")
    hashes = [*(models.values() if isinstance(models, Mapping) else ())]
    critic = record.get("critic")
    hashes += [critic.get("weights_sha256")] if isinstance(critic, Mapping) else []
    distillation = record.get(DISTILLATION)
    hashes += [distillation.get("teacher_sha256")] if isinstance(distillation, Mapping) else []
    initial, reweight = record.get("init_from"), record.get("reweight")
    hashes += [initial.get("weights_sha256")] if isinstance(initial, Mapping) else []
    hashes += [reweight.get("generator_sha256")] if isinstance(reweight, Mapping) else []
    hashes += [negatives.get("frozen"), record.get("frozen"), record.get("model_sha256")]
    hashes.append(record.get("generator_sha256"))  # of a selector
    for one in hashes:
        if not isinstance(one, str | None):
            raise CheckpointError(
                f"{folder / RECORD}: expected hashes of the models that it was made with, but got {one}"
            )
    return frozenset(filter(None, hashes))
