"""A detector that is trained on the movements of an agent: only if asked, with its hash in the checkpoint."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.trainables.critic.agent.tiny import TINY as TINY_AGENT
from trainables.core.config import ConfigError
from trainables.critic.agent.train import epochs as agent_epochs
from trainables.critic.environment.config import ReachingConfig
from trainables.detector.config import DetectorConfig
from trainables.detector.train import epochs
from trainables.training.checkpoint import CheckpointError, load_record


def asked(config: DetectorConfig, agent: Path, share: float = 0.5) -> DetectorConfig:
    """Return the configuration with an agent among the negatives."""
    return replace(config, negatives=replace(config.negatives, agent=share, agent_checkpoint=str(agent)))


def record_of(config: DetectorConfig, folder: Path) -> Mapping[str, Any]:
    """Return the record of the untrained detector."""
    next(iter(epochs(config))).save(folder)
    return load_record(folder)


def test_its_checkpoint_has_the_hash_of_the_agent_and_another_one_has_none(
    tiny: DetectorConfig, agent: Path, tmp_path: Path
) -> None:
    found = record_of(asked(tiny, agent), tmp_path / "asked")["negatives"]
    assert found["models"] == {"agent": load_record(agent)["weights_sha256"]}
    assert found["styles"]["agent"] == 5  # of 15, a third of the shares
    other = record_of(tiny, tmp_path / "other")["negatives"]
    assert (other["models"], "agent" in other["styles"]) == ({}, False)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (ReachingConfig(layout="u_maze"), "an agent of `environment.layout=free`, but got layout=u_maze"),
        (ReachingConfig(max_steps=6), "`movements of the agent that reach their target >= 1`, but got 0 of 150"),
    ],
)
def test_an_agent_that_cannot_be_used_is_one_line(
    tiny: DetectorConfig, environment: ReachingConfig, message: str, tmp_path: Path
) -> None:
    coordinates = "start" if environment.layout == "free" else "screen"
    config = replace(TINY_AGENT, environment=environment, coordinates=coordinates)
    next(iter(agent_epochs(config))).save(tmp_path / "agent")
    with pytest.raises(ConfigError, match=f"^expected {message}"):
        next(iter(epochs(asked(tiny, tmp_path / "agent"))))


def test_a_missing_agent_and_a_checkpoint_of_another_kind_are_one_line(
    tiny: DetectorConfig, critic: Path, tmp_path: Path
) -> None:
    for place, message in ((tmp_path / "none", "no such file"), (critic, "of kind `agent`, but got critic")):
        with pytest.raises(CheckpointError, match=message):
            next(iter(epochs(asked(tiny, place))))
