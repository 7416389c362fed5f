"""The distillation: how fast it learns, and which noise levels its loss weighs."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import Space

SPACE = Space(
    trainable="distill",
    parameters={
        "optim.lr": FloatDistribution(1e-4, 2e-3, log=True),
        "weighting": CategoricalDistribution(("truncated_snr", "snr_plus_one")),
    },
    baselines=({"optim.lr": 5e-4, "weighting": "truncated_snr"},),
)
