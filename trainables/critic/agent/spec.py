"""The record of the trainable `agent`; imports inside `load`, so that commands start without torch."""

from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.evaluation.metrics import AGENT
from trainables.training.trainable import ModelType, TrainableParts, TrainableSpec

AGENT_TYPE = ModelType("agent", AGENT, "registry-agent")


def load() -> TrainableParts:
    """Import the training loop, its cost and the loader of checkpoints."""
    from trainables.critic.agent.api import load_agent
    from trainables.critic.agent.cost import measure
    from trainables.critic.agent.state import require_its_workers
    from trainables.critic.agent.train import epochs
    from trainables.critic.agent.workers import require_shares

    return TrainableParts(epochs, measure, load_agent, require_its_workers, require_shares)


SPEC = TrainableSpec(
    name="agent",
    about="agent that reaches targets: contrastive reinforcement learning, SAC, cloning",
    config=AgentConfig,
    model_type=AGENT_TYPE,
    space="agent",
    load=load,
)
