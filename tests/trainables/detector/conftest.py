"""Small checkpoints of generators and folders of served movements, shared by all tests of detectors."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.serve import published
from tests.trainables.critic.agent.tiny import TINY as TINY_AGENT
from tests.trainables.critic.tiny import TINY as TINY_CRITIC
from tests.trainables.detector.tiny import TINY, few, human
from trainables.critic.agent.api import Agent
from trainables.critic.agent.train import epochs as agent_epochs
from trainables.critic.environment.config import MotorConfig, ReachingConfig
from trainables.critic.environment.controller import proportional
from trainables.critic.environment.reaching import Observation
from trainables.critic.train import epochs as critic_epochs
from trainables.data.config import CanonicalConfig
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.served_negatives import ServedMovements, write_served


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DetectorConfig:
    """Return the configuration of a small network on a few users."""
    counts = {"train": 150, "validation": 40, "test": 2, "holdout": 2}
    return replace(TINY, data=few(tmp_path_factory.mktemp("few") / "recordings.parquet", counts))


@pytest.fixture(scope="session")
def critic(tiny: DetectorConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a critic after a few steps on the users that the detector of `tiny` is trained on."""
    folder = tmp_path_factory.mktemp("critic") / "checkpoint"
    *_, last = critic_epochs(replace(TINY_CRITIC, data=tiny.data))
    last.save(folder)
    return folder


@pytest.fixture(scope="session")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an untrained adversarial generator."""
    return published.gan(tmp_path_factory.mktemp("gan") / "checkpoint")


@pytest.fixture(scope="session")
def physical(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a population of strokes that were fitted to a few movements."""
    return published.physical(tmp_path_factory.mktemp("physical") / "checkpoint")


@pytest.fixture(scope="session")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a briefly trained diffusion."""
    return published.diffusion(tmp_path_factory.mktemp("diffusion") / "checkpoint")


@pytest.fixture(scope="session")
def stored() -> ServedMovements:
    """Return thirty human movements as if from the service, a few of their targets with a width."""
    movements = human(30, "test")
    movements.target_width_px[::3] = 17.0 + torch.arange(10)
    request = {"seed": 5, "steps": None, "hardness": [0.0, 0.5]}
    return ServedMovements(movements, CanonicalConfig(), "0001-aaaaaaaaaaaa", "a" * 64, request, 4)


@pytest.fixture(scope="session")
def folder(stored: ServedMovements, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write them into a folder."""
    place = tmp_path_factory.mktemp("served") / "movements"
    write_served(stored, place)
    return place


@pytest.fixture(scope="session")
def untrained_agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an agent that reaches nothing."""
    folder = tmp_path_factory.mktemp("agent") / "checkpoint"
    next(iter(agent_epochs(replace(TINY_AGENT, environment=ReachingConfig())))).save(folder)
    return folder


@pytest.fixture
def agent(untrained_agent: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return its checkpoint, with a scripted controller in place of every actor."""
    monkeypatch.setattr(Agent, "act", steered)
    return untrained_agent


def steered(agent: Agent, state: Tensor, goal: Tensor) -> Tensor:
    """Return the actions of a scripted controller."""
    return proportional(Observation(state, goal, torch.zeros(len(goal))), MotorConfig())
