"""Behaviour cloning: the likelihood of recorded steps as actions towards the end of their own movement, as a baseline.

References: Learning to Reach Goals via Iterated Supervised Learning (Ghosh et al., 2019), arXiv:1912.06088.
"""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from trainables.critic.agent.batches import Batch
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.policy import actor_of, scale_of
from trainables.critic.agent.policy_state import PolicyState, likelihood, minimise
from trainables.training import metric_names as names
from trainables.training.worker import Worker


class Cloning:
    """An actor in training that sees no critic."""

    def __init__(self, config: AgentConfig, worker: Worker) -> None:
        self._config, self._worker = config, worker
        scale = scale_of(config.environment, config.coordinates)
        self.policy = PolicyState(actor_of(config.model, scale).to(worker.device), config, worker)

    def update(self, batch: Batch, eps: Float[Tensor, "2 B 2"]) -> dict[str, float]:
        """Take a step of the actor."""
        actor, config = self.policy.actor, self._config
        loss = -likelihood(actor, batch, batch.end, config.environment.motor)
        norm = minimise(loss, actor, self.policy.optimizer, config, self._worker)
        return {names.TRAIN_LOSS: loss.item(), names.TRAIN_GRADIENT_NORM: norm}

    def tensors(self) -> dict[str, Tensor]:
        """Return weights and moments by name."""
        return self.policy.tensors()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `tensors` returned."""
        self.policy.load(tensors)
