"""Movements of the service in a folder: drawn once, before a training, the same for all of its trials and workers.

The folder is a checkpoint (tensors in safetensors, the rest in JSON, published by one rename): canonical movements that
passed the observation model, with the champion, the hash of its weights, and the request that they came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainables.core.config import build, plain, require
from trainables.data.canonical import TENSORS, Canonical
from trainables.data.config import CanonicalConfig
from trainables.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

KIND = "served_negatives"
UNKNOWN = 0.0  # an unknown target width, which is NaN elsewhere: a checkpoint holds finite numbers alone


class NotServedError(RuntimeError):
    """The service refused, or stayed away for longer than its client waits."""


@dataclass(frozen=True, eq=False)
class ServedMovements:
    """Movements of one champion, in the canonical form `form`.

    Attributes:
        model, model_sha256: Id of the champion and hash of its weights.
        request: What was asked for: seed, hardness, sampler and so on.
        refused: Movements that could not be brought into canonical form; others were drawn in their place.
    """

    canonical: Canonical
    form: CanonicalConfig
    model: str
    model_sha256: str
    request: Mapping[str, Any]
    refused: int


def write_served(movements: ServedMovements, folder: Path) -> None:
    """Write the folder, whole or not at all.

    Raises:
        CheckpointError: the folder exists, or a movement is not finite.
    """
    tensors = {name: getattr(movements.canonical, name) for name in TENSORS}
    width_px = tensors["target_width_px"]
    tensors["target_width_px"] = torch.where(width_px.isnan(), UNKNOWN, width_px)
    told = {name: getattr(movements, name) for name in ("model", "model_sha256", "refused")}
    record = {"kind": KIND, "form": plain(movements.form), "request": dict(movements.request), **told}
    save_checkpoint(folder, tensors, {**record, "group": list(movements.canonical.group)})


def read_served(folder: Path) -> ServedMovements:
    """Inverse of `write_served`.

    Raises:
        CheckpointError: the folder cannot be read, is damaged, or holds something else.
    """
    tensors, record = load_checkpoint(folder)
    if record.get("kind") != KIND:
        raise CheckpointError(f"{folder}: expected movements of the service, but got {record.get('kind')}")
    try:
        return _movements(tensors, record)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder}: not whole movements of the service ({str(error).splitlines()[0]})") from None


def _movements(tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> ServedMovements:
    width_px, group = tensors["target_width_px"], tuple(record["group"])
    counts = {len(group), *(len(tensors[name]) for name in TENSORS)}
    require(len(counts) == 1, "as many groups as movements", f"{sorted(counts)}")
    known = torch.where(width_px == UNKNOWN, torch.nan, width_px)
    canonical = Canonical(**{name: tensors[name] for name in TENSORS} | {"target_width_px": known}, group=group)
    told = {name: record[name] for name in ("model", "model_sha256", "request", "refused")}
    return ServedMovements(canonical, build(CanonicalConfig, record["form"]), **told)
