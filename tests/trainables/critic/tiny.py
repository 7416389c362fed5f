"""A critic's run that takes a second."""

from trainables.critic.config import CriticConfig, CriticEvaluationConfig, CriticModelConfig, CriticOptimConfig

TINY = CriticConfig(
    epochs=2,
    steps_per_epoch=3,
    batch_size=32,
    model=CriticModelConfig(depth=4, width=16, embedding_dim=8),
    optim=CriticOptimConfig(warmup_steps=0),
    evaluation=CriticEvaluationConfig(batch_size=64, batches=2),
)
