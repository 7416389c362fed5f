"""The record of a checkpoint, read without torch: what it is, what it was trained with, and the hash of its weights."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables.core.renamed import config_today

WEIGHTS = "weights.safetensors"
RECORD = "record.json"
DISTILLATION = "distillation"  # key of a distilled model's record: its teacher, and the calls that it was trained for
SELECTOR = "selector"  # folder of a checkpoint with the selector that was fitted to it
FILE_SUFFIXES = (".pt", ".pth", ".ckpt")  # of checkpoints elsewhere, which are files


class CheckpointError(ValueError):
    """A checkpoint that is absent, incomplete, altered, or of another kind than expected."""


def load_record(folder: Path) -> dict[str, Any]:
    """Return the JSON record of a checkpoint, without reading its tensors; the configuration is under today's keys."""
    if folder.is_file() or (folder.suffix in FILE_SUFFIXES and not folder.exists()):
        raise CheckpointError(
            f"{folder}: expected a checkpoint folder, but got a file; give the folder that a run wrote, as "
            "ckpt=results/train/diffusion/checkpoints/best"
        )
    path = folder / RECORD
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; a checkpoint is a folder with {WEIGHTS} and {RECORD}") from None
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not a readable JSON record ({error})") from None
    if not isinstance(record, dict):
        raise CheckpointError(f"{path}: expected a record to be a JSON object, but got {type(record).__name__}")
    config = record.get("config")
    return {**record, "config": config_today(config)} if isinstance(config, dict) else record


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_same_data(checkpoint: Path, record: Mapping[str, Any], data_sha256: str) -> None:
    """Raise `CheckpointError` for a checkpoint that was trained on other data than those of this hash."""
    trained_on = record.get("data_sha256")
    if trained_on != data_sha256:
        raise CheckpointError(
            f"{checkpoint}: trained on other data ({trained_on}) than the present ones ({data_sha256})"
        )


def require_not_distilled(checkpoint: Path, record: Mapping[str, Any], purpose: str) -> None:
    """Raise `CheckpointError` for a distilled model, whose configuration alone does not train it again."""
    if DISTILLATION in record:
        raise CheckpointError(
            f"{checkpoint}: expected a model that learnt from movements {purpose}, but got a distilled one; "
            "give the checkpoint of its teacher"
        )
