"""Properties of loading a detector by its kind."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.models import MovementDetector, load_detector
from trainables.specs import TRAINABLES
from trainables.training.checkpoint import CheckpointError, save_checkpoint


@dataclass(frozen=True)
class Undecided:
    """Detector with a constant score of one half."""

    canonical: CanonicalConfig = field(default_factory=CanonicalConfig)

    def score(self, canonical: Canonical) -> Tensor:
        """Return one half for each movement."""
        return torch.full((len(canonical),), 0.5, dtype=torch.float64)


def test_the_kind_selects_the_loader_of_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path / "checkpoint", {"w": torch.zeros(1)}, {"kind": "undecided"})
    with pytest.raises(CheckpointError, match=r"a detector \(`detector`\), but got undecided"):
        load_detector(tmp_path / "checkpoint")
    undecided = TRAINABLES["detector"].with_parts(load_model=lambda checkpoint, device: Undecided())
    monkeypatch.setitem(TRAINABLES, "undecided", undecided)
    assert isinstance(load_detector(tmp_path / "checkpoint"), MovementDetector)
    save_checkpoint(tmp_path / "other", {"w": torch.zeros(1)}, {"kind": "diffusion"})
    with pytest.raises(CheckpointError, match=r"a detector \(`detector` or `undecided`\), but got diffusion"):
        load_detector(tmp_path / "other")


def test_the_loader_of_a_known_kind_reports_its_errors(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoint", {"w": torch.zeros(1)}, {"kind": "detector"})
    with pytest.raises(CheckpointError, match="weights and configuration do not fit"):
        load_detector(tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match="no such file"):
        load_detector(tmp_path / "nothing")
