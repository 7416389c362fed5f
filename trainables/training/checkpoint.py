"""Checkpoints: a folder with tensors in safetensors and everything else in JSON, published by one rename.

    checkpoint/
      weights.safetensors   named tensors ("model.…", "ema.…", "optimizer.…")
      record.json           configuration, counters, hash of the tensors' file

A reader either finds a whole checkpoint or none: files are written and flushed in a sibling folder first, then the
folder is renamed. Nothing is pickled, so that a checkpoint from elsewhere cannot run code.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainables.core.atomic_files import flush
from trainables.core.config import plain
from trainables.core.config_differences import differences, listed
from trainables.core.version import VERSION
from trainables.training.checkpoint_record import RECORD, WEIGHTS, CheckpointError, file_sha256, load_record

__all__ = [
    "RECORD",
    "WEIGHTS",
    "CheckpointError",
    "file_sha256",
    "flatten",
    "load_checkpoint",
    "load_record",
    "optimizer_tensors",
    "restore_optimizer",
    "resumed",
    "save_checkpoint",
    "select",
]
REASON = 200  # characters of an error of torch that are shown


def save_checkpoint(folder: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write a checkpoint to `folder`, which must not exist, in one atomic step.

    Raises:
        CheckpointError: the folder exists, or a tensor holds NaN or infinity: diverged weights are never published.
    """
    if folder.exists():
        raise CheckpointError(f"{folder}: exists already; a checkpoint is never overwritten")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{name} holds NaN or infinity: the checkpoint {folder.name} is not written")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    staging.chmod(0o755)  # others on a shared disk read it
    try:
        _write(staging, tensors, record)
        staging.rename(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    flush(folder.parent)


def _write(folder: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    weights = folder / WEIGHTS
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, weights)
    whole = {**record, "version": VERSION, "weights_sha256": file_sha256(weights)}
    (folder / RECORD).write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
    for path in (weights, folder / RECORD):
        flush(path)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint back and verify that the tensors are the ones its record speaks of.

    Raises:
        CheckpointError: missing folder or file, broken JSON, truncated or altered tensors, NaN or infinity in one.
    """
    record = load_record(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise CheckpointError(f"{weights}: no such file; a checkpoint is a folder with {WEIGHTS} and {RECORD}")
    if file_sha256(weights) != record.get("weights_sha256"):
        raise CheckpointError(f"{weights}: the tensors do not match their record (truncated or altered file)")
    try:
        tensors = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{weights}: not a readable safetensors file ({error})") from None
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{folder}: {name} holds NaN or infinity; take an earlier checkpoint of the run")
    return tensors, record


def load_checkpoint_of(kind: str, folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return `load_checkpoint` of a checkpoint of one kind; raises CheckpointError for another kind as well."""
    tensors, record = load_checkpoint(folder)
    if record.get("kind") != kind:
        raise CheckpointError(f"{folder}: expected a checkpoint of kind `{kind}`, but got {record.get('kind')}")
    return tensors, record


@contextmanager
def weights_that_fit(folder: Path) -> Iterator[None]:
    """Build a network of a checkpoint; raises CheckpointError where its weights do not fit its configuration."""
    try:
        yield
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = shorten(str(error), REASON, placeholder=" ...")  # of several lines, where keys of torch are missing
        raise CheckpointError(f"{folder}: weights and configuration do not fit: {reason}") from None


@contextmanager
def resumed(
    folder: Path, kind: str, config: Any, data_sha256: str
) -> Iterator[tuple[dict[str, Tensor], dict[str, Any]]]:
    """The checkpoint of the same run, for a block that puts its parts back where they were.

    A key of the configuration that is newer than the checkpoint has its default there.

    Args:
        config: The dataclass with the whole configuration.

    Raises:
        CheckpointError: it belongs to another kind, configuration or data, or the block finds it not whole.
    """
    tensors, record = load_checkpoint(folder)
    recorded = record.get("config")
    if record.get("kind") != kind or not isinstance(recorded, Mapping):
        raise CheckpointError(f"{folder}: expected a checkpoint of kind `{kind}`, but got {record.get('kind')}")
    if found := list(differences(type(config), recorded, plain(config))):
        raise CheckpointError(
            f"{folder}: the checkpoint was made with another configuration, now {listed(found)}; "
            "start a new run instead"
        )
    if record.get("data_sha256") != data_sha256:
        raise CheckpointError(f"{folder}: the checkpoint was trained on other data ({record.get('data_sha256')})")
    try:
        yield tensors, record
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder}: not a whole checkpoint of this run ({str(error).splitlines()[0]})") from None


def flatten(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Prefix the names of a state dict: `{"weight": w}` under "model" becomes `{"model.weight": w}`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def select(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The part of a flat state whose names begin with `prefix.`, without that prefix; inverse of `flatten`."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments of an optimiser, named `<parameter's number>.<moment>`."""
    slots: dict[int, dict[str, Tensor]] = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, slot in slots.items() for name, value in slot.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Bring the moments back; inverse of `optimizer_tensors`."""
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, moment = name.partition(".")
        slots.setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
