"""An agent's run that takes a second."""

from trainables.critic.agent.config import AgentConfig, CollectionConfig, ReachEvaluationConfig
from trainables.critic.config import CriticModelConfig
from trainables.critic.environment.config import ReachingConfig

TINY = AgentConfig(
    epochs=2,
    steps_per_epoch=3,
    batch_size=8,
    environment=ReachingConfig(max_steps=20),
    collection=CollectionConfig(copies=8, capacity=2000),
    model=CriticModelConfig(depth=4, width=16, embedding_dim=8, frequencies=1),
    evaluation=ReachEvaluationConfig(episodes=16),
)
