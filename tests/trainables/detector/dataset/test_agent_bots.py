"""An agent as a family of bots: its name and hash, what is left out, and that no detector is trained on it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.trainables.critic.agent.tiny import TINY
from tests.trainables.detector.tiny import assert_same_movements, human
from trainables.core.config import ConfigError
from trainables.core.derived_seeds import derive
from trainables.critic.agent.api import Agent
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.movements import MISSED, NO_PLACE
from trainables.critic.agent.policy import actor_of, scale_of
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.controller import proportional
from trainables.critic.environment.reaching import Observation
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.detector.bots import BOTS, FAMILIES
from trainables.detector.config import FAMILY_NAMES, DetectorConfig, NegativesConfig
from trainables.detector.dataset.agent_bots import AGENT, AgentBots, agent_bots, one_for_each, read_agent
from trainables.detector.dataset.external_bots import RELATED_FAMILIES
from trainables.detector.evaluation.config import DetectorEvaluationCommand
from trainables.detector.evaluation.evaluation_set import trained_on
from trainables.training.checkpoint import CheckpointError

FORM = CanonicalConfig()
CONFIG = replace(TINY, environment=ReachingConfig())


class Steered(Agent):
    """The scripted controller in place of the actor."""

    def act(self, state: Tensor, goal: Tensor) -> Tensor:
        return proportional(Observation(state, goal, torch.zeros(len(goal))), self.config.environment.motor)


def made(like: Canonical, config: AgentConfig = CONFIG, form: CanonicalConfig = FORM) -> AgentBots:
    actor = actor_of(config.model, scale_of(config.environment, config.coordinates))
    return agent_bots(Steered(actor, config), "d" * 64, like, form, 7)


@pytest.fixture(scope="module")
def like() -> Canonical:
    return human(30, "test")


def test_every_movement_has_the_name_and_the_hash(like: Canonical) -> None:
    found = made(like)
    count = len(found.bots)
    assert count + sum(found.dropped.values()) == len(like)
    assert count > 20
    assert found.bots.style == found.bots.family == (AGENT,) * count
    assert found.bots.model == ("d" * 64,) * count
    assert found.bots.account()["models"] == {AGENT: "d" * 64}
    assert set(found.bots.canonical.group) <= set(like.group)
    assert_same_movements(made(like).bots.canonical, found.bots.canonical)


def test_what_is_left_out_is_counted_by_reason(like: Canonical) -> None:
    up = replace(like, angle=torch.full_like(like.angle, torch.pi / 2))
    low = replace(CONFIG, environment=ReachingConfig(height_px=400))
    found = made(up, low)
    assert 0 < found.dropped[NO_PLACE] == int((like.distance_px > 389.5).sum())
    steps = int(made(like).bots.canonical.mask.sum(dim=1).median())
    hurried = replace(CONFIG, environment=ReachingConfig(max_steps=steps))
    assert 0 < made(like, hurried).dropped[MISSED] < len(like)
    short = made(like, form=CanonicalConfig(sequence_length=steps))
    assert short.dropped[f"longer than T={steps} steps at 60 Hz"] > 0


def test_an_agent_without_a_usable_movement_is_one_line(like: Canonical) -> None:
    hopeless = replace(CONFIG, environment=ReachingConfig(max_steps=6))
    with pytest.raises(
        ConfigError, match=r"^expected `movements of the agent that reach their target >= 1`, but got 0 of 30"
    ):
        made(like, hopeless)
    with pytest.raises(ConfigError, match=r"^expected `movements of the agent in canonical form >= 1`, .* than T=8 "):
        made(like, form=CanonicalConfig(sequence_length=8))
    far = replace(like, distance_px=torch.full_like(like.distance_px, 3000.0))
    with pytest.raises(ConfigError, match=r"^expected `recorded movements with a place on .* 0 of 30; take an"):
        made(far)


def test_each_movement_has_the_row_of_its_conditions(like: Canonical) -> None:
    found = made(like)
    rows = found.rows.tolist()
    assert rows == sorted(set(rows))
    assert found.bots.canonical.group == tuple(like.group[row] for row in rows)
    way, own = like.distance_px[found.rows], found.bots.canonical.distance_px
    assert float((way - own).abs().max()) <= CONFIG.environment.target_width_px[0]


def test_no_detector_is_trained_on_it_unless_asked() -> None:
    asked = NegativesConfig(agent=0.5, agent_checkpoint="somewhere")
    assert AGENT not in trained_on(DetectorConfig().negatives)
    assert AGENT in trained_on(asked)
    assert AGENT not in {*FAMILY_NAMES, *FAMILIES, *BOTS, *RELATED_FAMILIES}
    with pytest.raises(ConfigError):
        NegativesConfig(held_out=(AGENT,))
    assert DetectorEvaluationCommand("folder").agent_checkpoint == ""


def test_where_the_agent_made_none_another_movement_stands_in_its_place(
    agent: Path,
) -> None:
    like = human(60)
    far = replace(like, distance_px=like.distance_px.where(torch.arange(60) % 5 > 0, 3000.0))
    own, found = read_agent(agent, far, FORM, derive(2, AGENT)), one_for_each(agent, FORM, far, 2)
    without = sorted(set(range(60)) - set(own.rows.tolist()))
    assert (len(found), found.refused) == (60, len(without))
    assert len(without) >= 12
    assert_same_movements(found.canonical.take(own.rows), own.bots.canonical)
    known = {row.numpy().tobytes() for row in own.bots.canonical.deltas}
    assert {found.canonical.deltas[row].numpy().tobytes() for row in without} <= known
    assert_same_movements(one_for_each(agent, FORM, far, 2).canonical, found.canonical)
    other = one_for_each(agent, FORM, far, 3).canonical
    assert not torch.equal(other.deltas, found.canonical.deltas)


def test_a_checkpoint_has_its_own_hash_and_an_untrained_agent_reaches_nothing(
    untrained_agent: Path, like: Canonical, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="agent that reach their target >= 1`, but got 0 of 30; train it"):
        read_agent(untrained_agent, like, FORM, 7)
    monkeypatch.setattr(Agent, "act", Steered.act)
    record = json.loads((untrained_agent / "record.json").read_text())
    assert read_agent(untrained_agent, like, FORM, 7).weights_sha256 == record["weights_sha256"]


def test_another_kind_of_checkpoint_is_one_line(critic: Path, like: Canonical) -> None:
    with pytest.raises(CheckpointError, match="expected a checkpoint of kind `agent`, but got critic"):
        read_agent(critic, like, FORM, 7)


def test_a_layout_with_obstacles_is_one_line(like: Canonical) -> None:
    maze = replace(CONFIG, coordinates="screen", environment=ReachingConfig(layout="u_maze"))
    with pytest.raises(ConfigError, match=r"expected an agent of `environment.layout=free`, but got layout=u_maze"):
        made(like, maze)
