"""Load a trained critic: the values f of pairs of (state, action) and goal, and of the steps of movements."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.core.config import build
from trainables.critic.config import CriticModelConfig
from trainables.critic.episodes import ACTION, POSITION, STATE, episodes_of_split
from trainables.critic.networks import CriticNetwork, Scale
from trainables.critic.similarity import SIMILARITIES, of_rows
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.training.checkpoint import load_checkpoint_of, select, weights_that_fit

KIND = "critic"
ROWS = 8192  # of a network call


@dataclass(frozen=True, eq=False)
class Critic:
    """Trained networks with the form of movements.

    Attributes:
        similarity: f of two embeddings, by its name.
        goal_velocity: Whether a goal has a velocity.
        temperature: Divides f.
    """

    network: CriticNetwork
    similarity: str
    goal_velocity: bool
    temperature: float
    canonical: CanonicalConfig

    @property
    def device(self) -> torch.device:
        """Device of the networks."""
        return next(self.network.parameters()).device

    @torch.no_grad()
    def __call__(
        self, state: Float[Tensor, "B 4"], action: Float[Tensor, "B 2"], goal: Float[Tensor, "K G"]
    ) -> Float[Tensor, "B K"]:
        """Return f of every pair, divided by the temperature."""
        phi = self.network.embed(state.to(self.device), action.to(self.device))
        psi = self.network.embed_goal(goal.to(self.device))
        return SIMILARITIES[self.similarity](phi, psi).cpu() / self.temperature

    @torch.no_grad()
    def along(self, movements: Canonical) -> tuple[Tensor, ...]:
        """Return f of each step of each movement towards the movement's own end, one vector [S] per movement."""
        state, action, length = episodes_of_split(movements, self.canonical)
        last = length.cumsum(dim=0) - 1
        goal = state[last][:, : STATE if self.goal_velocity else POSITION]
        psi = self.network.embed_goal(goal.to(self.device)).repeat_interleave(length.to(self.device), dim=0)
        rows = zip(state.split(ROWS), action.split(ROWS), strict=True)
        phi = torch.cat([self.network.embed(s.to(self.device), a.to(self.device)) for s, a in rows])
        f = of_rows(self.similarity, phi, psi).cpu() / self.temperature
        return tuple(part[:-1] for part in f.split(length.tolist()))


def load_critic(checkpoint: Path, device: torch.device | str = "cpu") -> Critic:
    """Load the averaged weights of a critic's checkpoint.

    Raises:
        CheckpointError: Not a complete checkpoint of a critic, or its weights do not fit its configuration.
    """
    tensors, record = load_checkpoint_of(KIND, checkpoint)
    with weights_that_fit(checkpoint):
        return critic_of(record["config"], select("ema", tensors), device)


def critic_of(config: Mapping[str, Any], weights: Mapping[str, Tensor], device: torch.device | str = "cpu") -> Critic:
    """Return the critic of a recorded configuration with averaged weights.

    Raises KeyError, RuntimeError, TypeError or ConfigError where they do not fit.
    """
    model, velocity = build(CriticModelConfig, config["model"]), bool(config["goal_velocity"])
    empty = Scale(*(torch.zeros(columns) for columns in (STATE, STATE, ACTION, ACTION)))
    network = CriticNetwork(model, empty, goal_velocity=velocity)
    network.load_state_dict(dict(weights))
    canonical = build(CanonicalConfig, config["data"]["canonical"])
    temperature = float(config["loss"]["temperature"])
    return Critic(network.to(device).eval(), model.similarity, velocity, temperature, canonical)
