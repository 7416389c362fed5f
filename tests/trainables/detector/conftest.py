"""Small checkpoints of generators and folders of served movements, made once for all tests of detectors."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.serve import published
from tests.trainables.detector.tiny import TINY, few, people
from trainables.data.config import CanonicalConfig
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.served_negatives import ServedMovements, write_served


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DetectorConfig:
    """A run of a few weights on a few people."""
    counts = {"train": 150, "validation": 40, "test": 2, "holdout": 2}
    return replace(TINY, data=few(tmp_path_factory.mktemp("few") / "recordings.parquet", counts))


@pytest.fixture(scope="session")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adversarial generator that has not been trained."""
    return published.gan(tmp_path_factory.mktemp("gan") / "checkpoint")


@pytest.fixture(scope="session")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A briefly trained diffusion."""
    return published.diffusion(tmp_path_factory.mktemp("diffusion") / "checkpoint")


@pytest.fixture(scope="session")
def kept() -> ServedMovements:
    """Thirty movements as if drawn from the service: people's own, a few of their targets with a width."""
    movements = people(30, "test")
    movements.target_width_px[::3] = 17.0 + torch.arange(10)
    request = {"seed": 5, "steps": None, "hardness": [0.0, 0.5]}
    return ServedMovements(movements, CanonicalConfig(), "0001-aaaaaaaaaaaa", "a" * 64, request, 4)


@pytest.fixture(scope="session")
def folder(kept: ServedMovements, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, written."""
    place = tmp_path_factory.mktemp("served") / "movements"
    write_served(kept, place)
    return place
