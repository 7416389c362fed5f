"""The diffusion generator: how hard to tie it to its condition, what to mix in, and how wide to make it."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import Space

SPACE = Space(
    trainable="diffusion",
    parameters={
        "contrastive.weight": FloatDistribution(0.0, 0.3),
        "contrastive.temperature": FloatDistribution(0.1, 5.0, log=True),  # in units of the batch's mean squared error
        "augmentation.alpha": FloatDistribution(0.0, 1.0),
        "model.base_channels": CategoricalDistribution((32, 48, 64)),  # 0.3, 0.7, 1.2 million parameters
    },
    baselines=(
        {
            "contrastive.weight": 0.0,
            "contrastive.temperature": 1.0,
            "augmentation.alpha": 0.0,
            "model.base_channels": 64,
        },
    ),
)
