"""The record of the trainable `critic`; imports inside `load`, so that commands start without torch."""

from trainables.critic.config import CriticConfig
from trainables.critic.evaluation.metrics import CRITIC
from trainables.training.trainable import ModelType, TrainableParts, TrainableSpec

CRITIC_TYPE = ModelType("critic", CRITIC, "registry-critic")


def load() -> TrainableParts:
    """Import the training loop, its cost and the loader of checkpoints."""
    from trainables.critic.api import load_critic
    from trainables.critic.cost import measure
    from trainables.critic.train import epochs
    from trainables.training.worker import require_equal_shares

    return TrainableParts(epochs, measure, load_critic, require_shares=require_equal_shares)


SPEC = TrainableSpec(
    name="critic",
    about="goal-conditioned contrastive critic: which positions a step leads to",
    config=CriticConfig,
    model_type=CRITIC_TYPE,
    space="critic",
    load=load,
)
