"""Trials of the default search space as a sweep records them, at random points, for benchmarks of large studies."""

from collections.abc import Iterator

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces.diffusion import SPACE

EPOCHS = 9  # of a trial that is not pruned
PRUNED_AT = 2  # epoch at which two of three trials are pruned


def recorded_trials(count: int, rng: np.random.Generator) -> Iterator[FrozenTrial]:
    """Yield trials at random points, two of three of them pruned; values grow with weight and alpha."""
    points = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(count):
        params = points.ask(dict(SPACE.parameters)).params
        value = 0.05 + 0.3 * params["contrastive.weight"] + 0.1 * params["augmentation.alpha"] + rng.normal(0, 0.02)
        last = EPOCHS if number % 3 == 0 else PRUNED_AT
        yield create_trial(
            state=TrialState.COMPLETE if last == EPOCHS else TrialState.PRUNED,
            value=value,
            params=params,
            distributions=dict(SPACE.parameters),
            intermediate_values={epoch: value + 0.3 / (1 + epoch) for epoch in range(last + 1)},
        )
