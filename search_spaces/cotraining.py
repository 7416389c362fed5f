"""The co-training: how much either model gives the other, how often, and for how long; the rest of a run is warm-up."""

from optuna.distributions import FloatDistribution, IntDistribution

from search_spaces.space import Space

SPACE = Space(
    trainable="cotraining",
    parameters={
        "alpha": FloatDistribution(0.0, 1.0, step=0.05),  # in steps: a smaller one would round to no movement
        "cycles": IntDistribution(1, 3),
        "epochs_per_cycle": IntDistribution(1, 3),  # with 3 cycles all of the 14 epochs but two
    },
    baselines=({"alpha": 0.0, "cycles": 3, "epochs_per_cycle": 1}, {"alpha": 0.1, "cycles": 3, "epochs_per_cycle": 1}),
)
