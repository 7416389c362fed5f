"""The physical model: the form of its strokes, and how its population draws from the fitted movements."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.space import Space

SPACE = Space(
    trainable="physical",
    parameters={
        "fit.form": CategoricalDistribution(("sigma_lognormal", "minimum_jerk")),
        "population.bandwidth": FloatDistribution(0.1, 1.0, log=True),
        "population.spread": FloatDistribution(0.1, 1.0, log=True),
        "population.candidates": IntDistribution(2, 16),
    },
    baselines=(
        {
            "fit.form": "sigma_lognormal",
            "population.bandwidth": 0.5,
            "population.spread": 0.6,
            "population.candidates": 8,
        },
    ),
)
