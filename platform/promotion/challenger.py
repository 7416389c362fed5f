"""Resolve the promotion challenger: a leaderboard trial or a checkpoint."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform.leaderboard.archive import LEADERBOARD
from platform.leaderboard.freshness import newer_trials
from platform.promotion.config import FIRST
from platform.study.paths import path_within
from platform.study.storage import JOURNAL
from platform.study.study import load_study
from trainables.core.config import ConfigError, require
from trainables.model_registry.registry import Published
from trainables.specs import TRAINABLES
from trainables.training.checkpoint import load_checkpoint
from trainables.training.checkpoint_record import CheckpointError, load_record


@dataclass(frozen=True)
class Challenger:
    """A checkpoint with its origin.

    Attributes:
        record: Record of the checkpoint, whose weights were verified.
        trial: Trial of `study`; None for a checkpoint that was given by its folder.
        params: Searched parameters of the trial.
    """

    checkpoint: Path
    record: Mapping[str, Any]
    study: str = ""
    trial: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Name of the trainable."""
        return str(self.record["kind"])

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights, which identifies the model."""
        return str(self.record["weights_sha256"])


def of_checkpoint(folder: Path) -> Challenger:
    """Return the challenger in a checkpoint folder.

    Raises:
        CheckpointError: it is incomplete, or of a kind that cannot be evaluated.
    """
    folder = folder.expanduser().absolute()
    _, record = load_checkpoint(folder)
    missing = [key for key in ("kind", "config", "data_sha256") if key not in record]
    if missing:
        raise CheckpointError(
            f"{folder}: expected a checkpoint of a trained model, but the record lacks {', '.join(missing)}"
        )
    if record["kind"] not in TRAINABLES:
        known = " or ".join(f"`{name}`" for name in TRAINABLES)
        raise CheckpointError(f"{folder}: expected a checkpoint of kind {known}, but got {record['kind']}")
    return Challenger(folder, record)


def of_leaderboard(study: Path, trial: int) -> Challenger:
    """Return a trial of the leaderboard in a study's folder.

    Raises:
        ConfigError: there is no leaderboard, or the trial is not on it.
        CheckpointError: its checkpoint is incomplete.
    """
    row = _row(study / LEADERBOARD, trial)
    _require_current(study)
    require(
        row["published"],
        f"trial {row['trial']} of {study.name} to be trained anew, since its search estimate is too good by its luck",
        "no training with fresh seeds",
        f"run `python -m platform.tune study_name={study.name}` to its end, or give ckpt=FOLDER",
    )
    recorded = Path(row["checkpoint"])
    found = of_checkpoint(path_within(recorded, study) or recorded)
    return Challenger(found.checkpoint, found.record, study.name, row["trial"], row["params"])


def require_same_form(challenger: Challenger, champion: Published) -> None:
    """Raise `ConfigError` unless both were trained on the same data and are evaluated in the same way."""
    mine, theirs = (_form(record) for record in (challenger.record, load_record(champion.checkpoint)))
    for key, value in mine.items():
        if value != theirs[key]:
            raise ConfigError(
                f"{challenger.checkpoint}: expected the {key} of the champion {champion.id}, {theirs[key]}, "
                f"but got {value}; train it alike, or start another registry with another storage_path"
            )


def _form(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be equal: the data, the evaluation, and the bot families that a detector never trained on."""
    config = record["config"]
    return {
        "data_sha256": record.get("data_sha256"),
        "evaluation": {key: value for key, value in config.get("evaluation", {}).items() if key != "noise_seed"},
        "negatives.held_out": config.get("negatives", {}).get("held_out"),
    }


def _require_current(study: Path) -> None:
    """Raise `ConfigError` where trials have ended since the leaderboard was written; a study in a database is not read.

    One of them may be better than all that the leaderboard has re-evaluated.
    """
    if not (study / JOURNAL).is_file():
        return
    board = json.loads((study / LEADERBOARD).read_text())
    newer = newer_trials(board, load_study(study.parent, study.name))
    require(
        not newer,
        "a leaderboard of all trials that have ended",
        f"{study / LEADERBOARD}, which is older than {newer} of them",
        f"run the command of the sweep study_name={study.name} again, which re-evaluates, or give ckpt=FOLDER",
    )


def _row(file: Path, trial: int) -> dict[str, Any]:
    try:
        board = json.loads(file.read_text())
        anew = board.get("retraining", {}).get("asked", 0) > 0
        rows = [
            {key: row[key] for key in ("trial", "checkpoint", "params")}
            | {"published": not anew or row["retrained"] is not None}
            for row in board["rows"]
        ]
    except FileNotFoundError:
        remedy = f"run `python -m platform.tune study_name={file.parent.name}` to its end, or give ckpt=FOLDER"
        raise ConfigError(f"{file}: no such file; {remedy}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file}: not a readable leaderboard ({error!r}); run the sweep's command again") from None
    chosen = [row for row in rows if trial in (FIRST, row["trial"])]
    if not chosen:
        listed, wanted = (
            ", ".join(str(row["trial"]) for row in rows) or "none",
            "" if trial == FIRST else f"trial={trial}: ",
        )
        raise ConfigError(f"{wanted}not on the leaderboard {file} (trials: {listed}); give a checkpoint as ckpt=FOLDER")
    return chosen[0]
