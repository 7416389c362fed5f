"""The ranking term of the diffusion generator: which loss, how strong, and what belongs to that loss alone."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.space import Condition, Space

SMOOTH = ("infonce", "softplus", "logistic")  # the losses that have a temperature

SPACE = Space(
    trainable="diffusion",
    parameters={
        "contrastive.loss": CategoricalDistribution((*SMOOTH, "triplet", "hinge0")),
        "contrastive.weight": FloatDistribution(0.0, 0.1),
        "contrastive.temperature": FloatDistribution(1.0, 5.0, log=True),
        "contrastive.margin": FloatDistribution(0.05, 1.0),
        "contrastive.negatives": IntDistribution(1, 4),
    },
    baselines=(
        {
            "contrastive.loss": "infonce",
            "contrastive.weight": 0.0,
            "contrastive.temperature": 1.0,
            "contrastive.negatives": 1,
        },
    ),
    conditions={
        "contrastive.temperature": Condition("contrastive.loss", SMOOTH),
        "contrastive.margin": Condition("contrastive.loss", ("triplet",)),
    },
)
