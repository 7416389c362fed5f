"""The adversarial baseline: how fast either player learns, how often the critic moves, and what to mix in."""

from optuna.distributions import FloatDistribution, IntDistribution

from search_spaces.space import Space

SPACE = Space(
    trainable="gan",
    parameters={
        "optim.critic_lr": FloatDistribution(2e-4, 4e-3, log=True),
        "optim.generator_lr": FloatDistribution(1e-4, 2e-3, log=True),
        "optim.critic_steps": IntDistribution(1, 5),
        "augmentation.alpha": FloatDistribution(0.0, 1.0),
    },
    baselines=(
        {
            "optim.critic_lr": 1e-3,
            "optim.generator_lr": 5e-4,
            "optim.critic_steps": 3,
            "augmentation.alpha": 0.0,
        },
    ),
)
