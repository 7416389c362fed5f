"""Samples of the service in a folder: fetched once before a training, the same for all of its trials and workers.

The folder is a checkpoint (tensors in safetensors, the rest in JSON, published by one rename): canonical movements
after the observation model, with the conditions that were requested, the champion, the hash of its weights, that of the
data whose conditions they are, and the request that made them. `python -m platform.evaluate samples=FOLDER` reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainables.core.config import build, plain, require
from trainables.data.canonical import SAMPLE, TENSORS, Canonical
from trainables.data.config import CanonicalConfig
from trainables.generation.conditions import Conditions
from trainables.training.checkpoint import CheckpointError, flatten, load_checkpoint, save_checkpoint, select

KIND = "served_negatives"
UNKNOWN = 0.0  # an unknown target width, which is NaN elsewhere: a checkpoint holds finite numbers alone


class NotServedError(RuntimeError):
    """The service refused, or did not answer before the client's timeout."""


@dataclass(frozen=True, eq=False)
class ServedMovements:
    """Movements of one champion, in the canonical form `form`.

    Attributes:
        model, model_sha256: Id of the champion and hash of its weights.
        request: Parameters of the request: seed, hardness, sampler and so on.
        refused: Number of movements that could not be represented in canonical form and were replaced.
        requested: Conditions and direction that each movement was requested under; None in older folders.
        data_sha256: Hash of the data set whose training conditions were requested; empty in older folders.
    """

    canonical: Canonical
    form: CanonicalConfig
    model: str
    model_sha256: str
    request: Mapping[str, Any]
    refused: int
    requested: Conditions | None = None
    data_sha256: str = ""


def write_served(movements: ServedMovements, folder: Path) -> None:
    """Write the folder atomically.

    Raises:
        CheckpointError: The folder exists, or a movement is not finite.
    """
    tensors = {name: getattr(movements.canonical, name) for name in TENSORS}
    width_px = tensors["target_width_px"]
    tensors["target_width_px"] = torch.where(width_px.isnan(), UNKNOWN, width_px)
    if movements.requested is not None:
        own = {name: tensor.clone() for name, tensor in movements.requested.tensors().items()}  # files share no memory
        tensors |= flatten("requested", own)
    sources = [] if movements.requested is None else list(movements.requested.sources)
    origin = {name: getattr(movements, name) for name in ("model", "model_sha256", "refused", "data_sha256")}
    record = {"kind": KIND, "form": plain(movements.form), "request": dict(movements.request), **origin}
    names = {name: list(getattr(movements.canonical, name)) for name in ("group", "source")}
    save_checkpoint(folder, tensors, {**record, **names, "requested_sources": sources})


def read_served(folder: Path) -> ServedMovements:
    """Read a folder of `write_served`.

    Raises:
        CheckpointError: The folder cannot be read, is damaged, or holds something else.
    """
    tensors, record = load_checkpoint(folder)
    if record.get("kind") != KIND:
        raise CheckpointError(f"{folder}: expected movements of the service, but got {record.get('kind')}")
    try:
        return _movements(tensors, record)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder}: incomplete movements of the service ({str(error).splitlines()[0]})") from None


def _movements(tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> ServedMovements:
    width_px, group = tensors["target_width_px"], tuple(record["group"])
    source = tuple(record.get("source", (SAMPLE,) * len(group)))  # older folders have none
    counts = {len(group), len(source), *(len(tensors[name]) for name in TENSORS)}
    require(len(counts) == 1, "as many groups and sources as movements", f"{sorted(counts)}")
    width_or_nan = torch.where(width_px == UNKNOWN, torch.nan, width_px)
    parts = {name: tensors[name] for name in TENSORS} | {"target_width_px": width_or_nan}
    canonical = Canonical(**parts, group=group, source=source)
    origin = {name: record[name] for name in ("model", "model_sha256", "request", "refused")}
    asked = select("requested", tensors)
    requested = Conditions.of_tensors(asked, record.get("requested_sources", ())) if asked else None
    require(requested is None or len(requested) == len(canonical), "as many conditions as movements", "others")
    form, data_sha256 = build(CanonicalConfig, record["form"]), str(record.get("data_sha256", ""))
    return ServedMovements(canonical, form, **origin, requested=requested, data_sha256=data_sha256)
