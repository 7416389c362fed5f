"""The algorithms by name: each trains an actor on batches of the same buffer."""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from trainables.critic.agent.batches import Batch
from trainables.critic.agent.cloning import Cloning
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.contrastive import Contrastive
from trainables.critic.agent.policy_state import PolicyState
from trainables.critic.agent.sac import SoftActorCritic
from trainables.training.worker import Worker


@runtime_checkable
class Learner(Protocol):
    """Networks and optimisers of an algorithm."""

    policy: PolicyState

    def update(self, batch: Batch, eps: Float[Tensor, "2 B 2"]) -> dict[str, float]:
        """Train on this worker's rows of a batch, with normal numbers for actions, and return what was measured."""

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that training changes, by name."""

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `tensors` returned."""


LEARNERS: dict[str, Callable[[AgentConfig, Worker], Learner]] = {
    "contrastive": Contrastive,
    "sac": SoftActorCritic,
    "cloning": Cloning,
}
