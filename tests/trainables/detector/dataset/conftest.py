"""Users' movements, and negatives of all sources."""

from pathlib import Path

import pytest

from tests.trainables.detector.tiny import human
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.detector.config import NegativesConfig

FORM = CanonicalConfig()


@pytest.fixture(scope="module")
def real() -> Canonical:
    return human(60)


@pytest.fixture
def everything(gan: Path, diffusion: Path, physical: Path, folder: Path, agent: Path) -> NegativesConfig:
    """Return a configuration of all sources with different shares."""
    return NegativesConfig(
        bots=3.0,
        gan=1.0,
        diffusion=0.5,
        physical=0.5,
        served=0.25,
        agent=0.75,
        gan_checkpoint=str(gan),
        diffusion_checkpoint=str(diffusion),
        physical_checkpoint=str(physical),
        served_folder=str(folder),
        agent_checkpoint=str(agent),
    )
