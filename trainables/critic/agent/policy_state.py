"""The actor in training: its step against any value of actions, and the temperature of its entropy.

The loss is alpha log pi - value, `trainables.critic.actor`; with `cloning_weight` minus the log-likelihood of the
stored steps is added, towards the goals that they came to. The value reads an action as the step in px that it makes.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.critic.actor import Actor, actor_loss, alpha_loss, draw, log_density, target_entropy
from trainables.critic.agent.batches import Batch
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.workers import average_gradients
from trainables.critic.environment.config import MotorConfig
from trainables.critic.environment.motor import action_of, expected_step
from trainables.critic.episodes import ACTION, POSITION
from trainables.training import metric_names as names
from trainables.training.checkpoint import flatten, optimizer_tensors, restore_optimizer, select
from trainables.training.trainable import TrainingDivergedError
from trainables.training.worker import ALONE, Worker

Value = Callable[[Float[Tensor, "B 2"]], Float[Tensor, "B"]]
"""Steps in px, one for each row of a batch -> how well they fit its wanted positions."""
LARGEST_ACTION = 0.999  # of a stored step that is cloned: tanh of a finite number


class PolicyState:
    """Actor and temperature with their optimisers."""

    def __init__(self, actor: Actor, config: AgentConfig, worker: Worker = ALONE) -> None:
        self.actor, self._config, self._worker = actor, config, worker
        device = next(actor.parameters()).device
        self.log_alpha = torch.tensor(config.policy.initial_alpha, device=device).log().requires_grad_()
        self.optimizer = torch.optim.Adam(actor.parameters(), lr=config.optim.lr)
        self.alpha_optimizer = torch.optim.Adam([self.log_alpha], lr=config.optim.lr)

    def improve(self, batch: Batch, value: Value, eps: Float[Tensor, "B 2"]) -> dict[str, float]:
        """Take a step of the actor, then one of the temperature, and return what was measured.

        Raises:
            TrainingDivergedError: The loss is NaN or infinite.
        """
        config, motor = self._config, self._config.environment.motor
        drawn = draw(self.actor(batch.state, batch.wanted), eps)
        f = value(expected_step(batch.state[:, POSITION:], drawn.action, motor))
        loss = actor_loss(self.log_alpha, drawn.log_pi, f)
        if config.policy.cloning_weight > 0:
            loss = loss - config.policy.cloning_weight * likelihood(self.actor, batch, batch.goal, motor)
        minimise(loss, self.actor, self.optimizer, config, self._worker)
        entropy = alpha_loss(self.log_alpha, drawn.log_pi, target_entropy(ACTION))
        self.alpha_optimizer.zero_grad(set_to_none=True)
        entropy.backward()
        average_gradients([self.log_alpha], self._worker)
        self.alpha_optimizer.step()
        return {
            names.TRAIN_ACTOR: loss.item(),
            names.TRAIN_ENTROPY: -drawn.log_pi.detach().mean().item(),
            names.TRAIN_ALPHA: self.log_alpha.detach().exp().item(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """Return weights and moments by name."""
        return {
            **flatten("actor", self.actor.state_dict()),
            "log_alpha": self.log_alpha.detach(),
            **flatten("actor_optimizer", optimizer_tensors(self.optimizer)),
            **flatten("alpha_optimizer", optimizer_tensors(self.alpha_optimizer)),
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `tensors` returned."""
        self.actor.load_state_dict(select("actor", tensors))
        with torch.no_grad():
            self.log_alpha.copy_(tensors["log_alpha"])
        restore_optimizer(self.optimizer, select("actor_optimizer", tensors))
        restore_optimizer(self.alpha_optimizer, select("alpha_optimizer", tensors))


def likelihood(actor: Actor, batch: Batch, goal: Float[Tensor, "B 2"], motor: MotorConfig) -> Float[Tensor, ""]:
    """Return the mean log density of the stored steps as actions towards goals.

    A step that no action makes counts as the nearest action that is inside of the policy's range.
    """
    action = action_of(batch.state[:, POSITION:], batch.action, motor)
    return log_density(actor(batch.state, goal), action.clamp(-LARGEST_ACTION, LARGEST_ACTION)).mean()


def minimise(
    loss: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer, config: AgentConfig, worker: Worker = ALONE
) -> float:
    """Take one step of an optimiser down the mean of a loss over all workers and return the norm of the gradient.

    Raises:
        TrainingDivergedError: The loss is NaN or infinite.
    """
    if not math.isfinite(loss.item()):
        raise TrainingDivergedError(f"the loss is {loss.item()}; lower optim.lr={config.optim.lr}")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(network.parameters(), worker)
    norm = nn.utils.clip_grad_norm_(network.parameters(), config.optim.grad_clip)
    optimizer.step()
    return norm.item()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Keep gradients out of the parameters of a network, though they pass through it."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
