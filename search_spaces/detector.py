"""The detector: how many bots, how hard to shape its embeddings and to part them, and how wide to make it."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import Space

SPACE = Space(
    trainable="detector",
    parameters={
        "negatives.alpha": FloatDistribution(0.25, 2.0, log=True),
        "loss.task_weight": FloatDistribution(0.0, 2.0),
        "loss.embodiment_weight": FloatDistribution(0.0, 0.3),
        "loss.club_weight": FloatDistribution(0.0, 1.0),
        "loss.temperature": FloatDistribution(0.03, 0.3, log=True),
        "model.width": CategoricalDistribution((16, 24, 32, 48)),
    },
    baselines=(
        {
            "negatives.alpha": 1.0,
            "loss.task_weight": 0.0,
            "loss.embodiment_weight": 0.0,
            "loss.club_weight": 0.0,
            "loss.temperature": 0.07,
            "model.width": 24,
        },
    ),
)
