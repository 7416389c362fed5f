"""Models that a user's movements reached: by the users of their records, and by the models that they were made with."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from platform.core.affected_models import affected_models
from trainables.core.config import ConfigError
from trainables.data.training_users import UNKNOWN
from trainables.training.checkpoint import RECORD, save_checkpoint


def checkpoint(folder: Path, kind: str, value: float, train: tuple[str, ...] = (), **record: Any) -> str:
    """Write a checkpoint and return the hash of its weights; the validation split is of user `v`."""
    users = {"train": dict.fromkeys(train, 3), "validation": {"v": 2}} if train else None
    save_checkpoint(
        folder, {"w": torch.tensor([value])}, {"kind": kind, **({"users": users} if users else {}), **record}
    )
    return str(json.loads((folder / RECORD).read_text())["weights_sha256"])


def found(runs: Path, user: str) -> tuple[dict[str, str], dict[str, str]]:
    models = affected_models(runs, user)
    affected, unknown = (
        {one.folder.relative_to(runs).as_posix(): one.reason for one in part}
        for part in (models.affected, models.unknown)
    )
    return affected, unknown


def test_models_are_found_by_the_users_of_their_records(tmp_path: Path) -> None:
    checkpoint(tmp_path / "train/gan/checkpoints/epoch-0001", "gan", 1, ("a", "b"))
    (tmp_path / "train/gan/checkpoints/last").symlink_to("epoch-0001")
    checkpoint(tmp_path / "registry/history/0001/checkpoint", "diffusion", 2, ("a",))
    checkpoint(tmp_path / "other", "gan", 3, ("b",))
    assert found(tmp_path, "a") == (
        {
            "registry/history/0001/checkpoint": "trained on 3 of their movements",
            "train/gan/checkpoints/epoch-0001": "trained on 3 of their movements",
        },
        {},
    )
    chosen = "epochs and thresholds chosen on 2 of their movements"
    assert set(found(tmp_path, "v")[0].values()) == {chosen}
    assert len(found(tmp_path, "v")[0]) == 3
    assert found(tmp_path, "c") == ({}, {})


def test_what_was_made_with_an_affected_model_is_affected(tmp_path: Path) -> None:
    gan = checkpoint(tmp_path / "gan", "gan", 1, ("a",))
    clean = checkpoint(tmp_path / "clean", "gan", 2, ("b",))
    negatives = {"models": {"gan": gan}, "frozen": ""}
    first = checkpoint(tmp_path / "first", "detector", 3, ("b",), negatives=negatives)
    checkpoint(tmp_path / "aaa", "detector", 4, ("b",), negatives={"models": {}, "frozen": first})
    checkpoint(tmp_path / "fine", "detector", 5, ("b",), negatives={"models": {"gan": clean}, "frozen": ""})
    checkpoint(tmp_path / "served", "served negatives", 6, model_sha256=gan)
    checkpoint(tmp_path / "trunk", "detector", 7, ("b",), frozen=first)
    checkpoint(tmp_path / "goals", "detector", 8, ("b",), critic={"weights_sha256": gan})
    checkpoint(tmp_path / "student", "diffusion", 10, ("b",), distillation={"teacher_sha256": gan})
    checkpoint(tmp_path / "tuned", "diffusion", 12, ("b",), init_from={"weights_sha256": gan})
    checkpoint(tmp_path / "reweighted", "diffusion", 13, ("b",), reweight={"generator_sha256": gan})
    checkpoint(tmp_path / "gan" / "selector", "selector", 10, generator_sha256=gan)
    checkpoint(tmp_path / "clean" / "selector", "selector", 11, generator_sha256=clean)
    checkpoint(tmp_path / "others", "detector", 9, ("b",), critic={"weights_sha256": clean})
    affected, unknown = found(tmp_path, "a")
    assert affected == {
        "gan": "trained on 3 of their movements",
        "first": f"made with {tmp_path / 'gan'}, which is affected",
        "served": f"made with {tmp_path / 'gan'}, which is affected",
        "aaa": f"made with {tmp_path / 'first'}, which is affected",
        "trunk": f"made with {tmp_path / 'first'}, which is affected",
        "gan/selector": f"made with {tmp_path / 'gan'}, which is affected",
        "goals": f"made with {tmp_path / 'gan'}, which is affected",
        "tuned": f"made with {tmp_path / 'gan'}, which is affected",
        "reweighted": f"made with {tmp_path / 'gan'}, which is affected",
        "student": f"made with {tmp_path / 'gan'}, which is affected",
    }
    assert unknown == {}


def test_what_an_older_version_trained_or_cannot_be_read_is_named_as_unknown(tmp_path: Path) -> None:
    checkpoint(tmp_path / "old", "gan", 1)
    checkpoint(tmp_path / "samples", "served negatives", 2)
    checkpoint(tmp_path / "wrong", "gan", 3, users=["a"])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / RECORD).write_text("{")
    affected, unknown = found(tmp_path, "a")
    assert affected == {}
    assert sorted(unknown) == ["broken", "old", "wrong"]
    assert unknown["old"] == UNKNOWN
    assert all(unknown[name].startswith("cannot be read: ") for name in ("broken", "wrong"))


def test_an_older_model_that_was_made_with_an_affected_one_is_affected(tmp_path: Path) -> None:
    gan = checkpoint(tmp_path / "gan", "gan", 1, ("a",))
    checkpoint(tmp_path / "old", "detector", 2, negatives={"models": {"gan": gan}})
    affected, unknown = found(tmp_path, "a")
    assert set(affected) == {"gan", "old"}
    assert unknown == {}


def test_a_record_whose_parents_are_no_hashes_is_unknown(tmp_path: Path) -> None:
    checkpoint(tmp_path / "lists", "detector", 1, ("b",), negatives={"models": {"gan": ["a"]}})
    checkpoint(tmp_path / "frozen", "detector", 2, ("b",), negatives={"frozen": {"a": 1}})
    checkpoint(tmp_path / "served", "served negatives", 3, model_sha256=[1])
    affected, unknown = found(tmp_path, "a")
    assert affected == {}
    assert sorted(unknown) == ["frozen", "lists", "served"]
    assert all("expected hashes of the models that it was made with" in reason for reason in unknown.values())


def test_a_folder_that_cannot_be_read_is_refused_and_one_that_vanishes_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(tmp_path / "gan", "gan", 1, ("a",))
    scandir = os.scandir
    refused: OSError = PermissionError(13, "Permission denied", str(tmp_path / "gan"))

    def scanned(folder: str) -> Any:
        if Path(folder) == tmp_path / "gan":
            raise refused
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scanned)
    with pytest.raises(ConfigError, match=f"the folder {tmp_path / 'gan'} to be readable.* got Permission denied"):
        affected_models(tmp_path, "a")
    refused = FileNotFoundError(2, "No such file or directory", str(tmp_path / "gan"))
    assert found(tmp_path, "a") == ({}, {})
