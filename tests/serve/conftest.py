"""Fixtures: small checkpoints, made once for all tests of the service."""

import shutil
from pathlib import Path

import pytest

from tests.serve import published


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a briefly trained diffusion."""
    return published.diffusion(tmp_path_factory.mktemp("one") / "checkpoint")


@pytest.fixture(scope="session")
def other(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of the same network with smaller weights."""
    return published.altered(checkpoint, tmp_path_factory.mktemp("other") / "checkpoint", lambda weight: weight * 0.9)


@pytest.fixture(scope="session")
def selecting(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the diffusion with a selector of one of its sources."""
    copy = shutil.copytree(checkpoint, tmp_path_factory.mktemp("selecting") / "checkpoint")
    return published.with_selector(Path(copy))


@pytest.fixture(scope="session")
def adversarial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a GAN."""
    return published.gan(tmp_path_factory.mktemp("gan") / "checkpoint")


@pytest.fixture(scope="session")
def physical(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a physical model."""
    return published.physical(tmp_path_factory.mktemp("physical") / "checkpoint")
