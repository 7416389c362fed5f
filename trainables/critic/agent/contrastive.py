"""Contrastive reinforcement learning: the actor goes up the similarity of a critic of goals that were reached.

In each update the actor takes its step before the critic does, on the same batch: the critic that it climbs is that of
the updates before. Goals are positions that were reached later, never the targets of the episodes.

References: Contrastive Learning as Goal-Conditioned Reinforcement Learning (Eysenbach et al., 2022), arXiv:2206.07568.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.contrastive.gather import gather
from trainables.critic.agent.batches import Batch
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.policy import actor_of, scale_of
from trainables.critic.agent.policy_state import PolicyState, frozen, minimise
from trainables.critic.goals import negative_mask
from trainables.critic.losses import LOSSES, Pairs
from trainables.critic.measured import measured
from trainables.critic.networks import CriticNetwork, Embeddings
from trainables.critic.similarity import SIMILARITIES, of_rows
from trainables.training import metric_names as names
from trainables.training.checkpoint import flatten, optimizer_tensors, restore_optimizer, select
from trainables.training.worker import Worker


class Contrastive:
    """Actor and contrastive critic in training."""

    def __init__(self, config: AgentConfig, worker: Worker) -> None:
        scale = scale_of(config.environment, config.coordinates)
        self._config, self._worker = config, worker
        self.critic = CriticNetwork(config.model, scale, goal_velocity=False).to(worker.device)
        self.policy = PolicyState(actor_of(config.model, scale).to(worker.device), config, worker)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=config.optim.lr)

    def update(self, batch: Batch, eps: Float[Tensor, "2 B 2"]) -> dict[str, float]:
        """Take a step of the actor, then one of the critic."""
        with frozen(self.critic):
            measured = self.policy.improve(batch, lambda step: self.value(batch, step), eps[0])
        return measured | self.improve_critic(batch)

    def value(self, batch: Batch, step: Float[Tensor, "B 2"]) -> Float[Tensor, "B"]:
        """Return f of each row's state, a step, and its wanted position."""
        phi, psi = self.critic(batch.state, step, batch.wanted)
        return of_rows(self._config.model.similarity, phi, psi) / self._config.loss.temperature

    def improve_critic(self, batch: Batch) -> dict[str, float]:
        """Take a step of the critic on the pairs of all workers' rows."""
        config, loss = self._config, self._config.loss
        embedded = self.critic(batch.state, batch.action, batch.goal)
        phi, psi, trajectory, goal = gather(*embedded, batch.trajectory, batch.goal)
        negative = negative_mask(trajectory, goal, config.tolerance_px)
        f = SIMILARITIES[config.model.similarity](phi, psi) / loss.temperature
        pairs = Pairs.of(f, negative)
        total = LOSSES[loss.name](pairs, loss.penalty)
        norm = minimise(total, self.critic, self.optimizer, config, self._worker)
        found = measured(pairs, Embeddings(phi, psi))
        return {names.TRAIN_LOSS: total.item(), names.TRAIN_GRADIENT_NORM: norm, **found}

    def tensors(self) -> dict[str, Tensor]:
        """Return weights and moments by name."""
        critic = flatten("critic", self.critic.state_dict())
        return {**self.policy.tensors(), **critic, **flatten("critic_optimizer", optimizer_tensors(self.optimizer))}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `tensors` returned."""
        self.policy.load(tensors)
        self.critic.load_state_dict(select("critic", tensors))
        restore_optimizer(self.optimizer, select("critic_optimizer", tensors))
