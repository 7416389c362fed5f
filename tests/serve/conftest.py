"""Small checkpoints, made once for all tests of the service."""

from pathlib import Path

import pytest

from tests.serve import published


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A briefly trained diffusion."""
    return published.diffusion(tmp_path_factory.mktemp("one") / "checkpoint")


@pytest.fixture(scope="session")
def other(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network with smaller weights."""
    return published.altered(checkpoint, tmp_path_factory.mktemp("other") / "checkpoint", lambda weight: weight * 0.9)


@pytest.fixture(scope="session")
def adversarial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adversarial generator."""
    return published.gan(tmp_path_factory.mktemp("gan") / "checkpoint")
