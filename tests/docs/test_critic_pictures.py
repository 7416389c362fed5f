"""The pictures of docs/critic.md: of recordings that may be drawn, beside an agent between the same ends."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from docs.generate.critic import draw_curves, draw_maps, pairs
from docs.generate.movements import COLUMNS, LEFT_OUT, ROWS, shown
from tests.trainables.critic.agent.tiny import TINY as TINY_AGENT
from tests.trainables.critic.tiny import TINY
from trainables.critic.agent.api import Agent
from trainables.critic.agent.spec import SPEC as AGENT
from trainables.critic.api import load_critic
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.controller import proportional
from trainables.critic.environment.reaching import Observation
from trainables.critic.spec import SPEC as CRITIC
from trainables.training.run_folder import CHECKPOINTS, LAST, remaining_epochs


@pytest.fixture(scope="module")
def critic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a short run."""
    folder = tmp_path_factory.mktemp("critic")
    assert list(remaining_epochs(folder, CRITIC, replace(TINY, epochs=1)))
    return folder / CHECKPOINTS / LAST


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a short run."""
    folder = tmp_path_factory.mktemp("agent")
    config = replace(TINY_AGENT, epochs=1, batch_size=4, environment=ReachingConfig())
    assert list(remaining_epochs(folder, AGENT, config))
    return folder / CHECKPOINTS / LAST


def steered(agent: Agent, state: Tensor, goal: Tensor) -> Tensor:
    return proportional(Observation(state, goal, torch.zeros(len(goal))), agent.config.environment.motor)


def test_recordings_that_agree_with_a_public_data_set_are_left_out(critic: Path) -> None:
    found = shown(critic, 3)
    assert len(found) > ROWS * COLUMNS
    assert LEFT_OUT not in found.source


def test_the_agent_moves_between_the_ends_of_the_movements_beside_it(
    critic: Path, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, "act", steered)
    recorded, made = pairs(agent, shown(critic, 3), load_critic(critic), 3)
    assert len(recorded) == len(made) == ROWS * COLUMNS
    assert recorded.group == made.group
    assert float((recorded.distance_px - made.distance_px).abs().max()) <= ReachingConfig().target_width_px[0]


def test_maps_and_curves_are_drawn(critic: Path, agent: Path, tmp_path: Path) -> None:
    figures = (draw_maps(load_critic(critic), shown(critic, 3).take(torch.arange(9))), draw_curves(critic, agent))
    for number, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").stat().st_size > 10_000
