"""The agent by contrastive reinforcement learning: learning rate, discount, goals of its actor, exploration, shape."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import Space

SPACE = Space(
    trainable="agent",
    parameters={
        "model.depth": CategoricalDistribution((4, 8, 16)),
        "model.width": CategoricalDistribution((64, 128, 256)),
        "optim.lr": FloatDistribution(1e-4, 3e-3, log=True),
        "gamma": FloatDistribution(0.9, 0.99),
        "policy.other_goals": FloatDistribution(0.0, 1.0),
        "collection.without_noise": FloatDistribution(0.0, 0.9),
        "loss.penalty": FloatDistribution(0.001, 1.0, log=True),
    },
    baselines=(
        {
            "model.depth": 4,
            "model.width": 128,
            "optim.lr": 3e-4,
            "gamma": 0.97,
            "policy.other_goals": 0.5,
            "collection.without_noise": 0.5,
            "loss.penalty": 0.1,
        },
    ),
)
