"""The diffusion generator: how hard to tie it to its condition, what to mix in, its width, and how it learns.

Ranges are those in which no value does harm by itself: a contrastive weight above 0.1 does with a temperature below 1.
The decay of the averaged weights is not searched, for most of its range has no effect in trials as short as these.
"""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import Space

SPACE = Space(
    trainable="diffusion",
    parameters={
        "contrastive.weight": FloatDistribution(0.0, 0.1),
        "contrastive.temperature": FloatDistribution(1.0, 5.0, log=True),  # in units of the batch's mean squared error
        "augmentation.alpha": FloatDistribution(0.0, 1.0),
        "model.base_channels": CategoricalDistribution((32, 48, 64)),  # 0.3, 0.7, 1.2 million parameters
        "optim.lr": FloatDistribution(8e-4, 8e-3, log=True),
        "diffusion.min_snr_gamma": FloatDistribution(5.0, 20.0, log=True),
        "model.dropout": FloatDistribution(0.0, 0.2),
        "data.frame": CategoricalDistribution(("chord", "quarter_turn")),
        "motion.channel": CategoricalDistribution((False, True)),
        "motion.ends": CategoricalDistribution((False, True)),
    },
    baselines=(
        {
            "contrastive.weight": 0.0,
            "contrastive.temperature": 1.0,
            "augmentation.alpha": 0.0,
            "model.base_channels": 64,
            "optim.lr": 2e-3,
            "diffusion.min_snr_gamma": 5.0,
            "model.dropout": 0.1,
            "data.frame": "chord",
            "motion.channel": True,
            "motion.ends": True,
        },
    ),
)
