"""The epochs of the run that a checkpoint is of."""

import json
from pathlib import Path

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.training.checkpoint import save_checkpoint
from trainables.training.run_folder import epochs_of

LOG = [{"epoch": number, "val/loss": 1.0 / (number + 1)} for number in range(4)]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of three epochs, of which the links name the second and the third."""
    checkpoints = tmp_path / "run" / "checkpoints"
    for name, epoch in (("best", 2), ("last", 3)):
        save_checkpoint(checkpoints / f"epoch-{epoch:04d}", {"weight": torch.zeros(1)}, {"kind": "x", "epoch": epoch})
        (checkpoints / name).symlink_to(f"epoch-{epoch:04d}")
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LOG))
    return tmp_path / "run"


def test_they_end_with_the_checkpoint_whatever_it_is_called(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run / "checkpoints" / "best")
    for checkpoint in (run / "checkpoints" / "best", run / "checkpoints" / "epoch-0002", tmp_path / "link"):
        assert epochs_of(checkpoint) == LOG[:3]
    assert epochs_of(run / "checkpoints" / "last") == LOG


def test_a_checkpoint_in_no_run_has_none(run: Path) -> None:
    (run / "checkpoints" / "epoch-0002").rename(run / "moved")
    assert epochs_of(run / "moved") == []
    (run / "metrics.jsonl").unlink()
    assert epochs_of(run / "checkpoints" / "last") == []


def test_a_damaged_log_is_one_line(run: Path) -> None:
    (run / "metrics.jsonl").write_text("{\n")
    with pytest.raises(ConfigError, match=r"metrics.jsonl: not one JSON object per line"):
        epochs_of(run / "checkpoints" / "best")
