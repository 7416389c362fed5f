"""The contrastive critic: how deep and wide, how far ahead its goals lie, and how its loss is shaped."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import Space

SPACE = Space(
    trainable="critic",
    parameters={
        "model.depth": CategoricalDistribution((4, 8, 16, 32)),
        "model.width": CategoricalDistribution((64, 128, 256)),
        "model.kernels": CategoricalDistribution((2, 4, 8)),
        "gamma": FloatDistribution(0.9, 1.0),
        "loss.penalty": FloatDistribution(0.001, 1.0, log=True),
        "loss.temperature": FloatDistribution(0.1, 4.0, log=True),
        "batch_size": CategoricalDistribution((128, 256, 512)),
    },
    baselines=(
        {
            "model.depth": 8,
            "model.width": 256,
            "model.kernels": 8,
            "gamma": 0.99,
            "loss.penalty": 0.1,
            "loss.temperature": 1.0,
            "batch_size": 512,
        },
    ),
)
