"""Load a trained agent: actions towards targets, and the movements that it makes."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.core.config import build
from trainables.critic.actor import Actor
from trainables.critic.agent.collect import Act, deterministic, exploring
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.policy import actor_of, scale_of
from trainables.critic.episodes import POSITION, episodes_of_split
from trainables.data.canonical import Canonical
from trainables.training.checkpoint import load_checkpoint_of, select, weights_that_fit

KIND = "agent"
ROWS = 8192  # of a network call


@dataclass(frozen=True, eq=False)
class Agent:
    """A trained actor with the configuration of its run, whose environment it acts in."""

    actor: Actor
    config: AgentConfig

    def act(self, state: Float[Tensor, "N 4"], goal: Float[Tensor, "N 2"]) -> Float[Tensor, "N 2"]:
        """Return the actions without exploration; positions are from the origin that `config.coordinates` names."""
        return deterministic(self.actor)(state, goal)

    def sampling(self, random: torch.Generator) -> Act:
        """Return the function that draws actions of the policy."""
        return exploring(self.actor, random)

    def along(self, movements: Canonical) -> tuple[Float[Tensor, "S 2"], ...]:
        """Return the actions in the states of each movement towards the movement's own end, without exploration."""
        state, _, length = episodes_of_split(movements, self.config.data.canonical)
        end = state[length.cumsum(dim=0) - 1][:, :POSITION].repeat_interleave(length, dim=0)
        rows = zip(state.split(ROWS), end.split(ROWS), strict=True)
        actions = torch.cat([self.act(*part) for part in rows])
        return tuple(actions.split(length.tolist()))


def load_agent(checkpoint: Path, device: torch.device | str = "cpu") -> Agent:
    """Load the averaged actor of an agent's checkpoint.

    Raises:
        CheckpointError: Not a complete checkpoint of an agent, or its weights do not fit its configuration.
    """
    tensors, record = load_checkpoint_of(KIND, checkpoint)
    with weights_that_fit(checkpoint):
        config = build(AgentConfig, record["config"])
        actor = actor_of(config.model, scale_of(config.environment, config.coordinates))
        actor.load_state_dict(select("ema", tensors))
    return Agent(actor.to(device).eval(), config)
