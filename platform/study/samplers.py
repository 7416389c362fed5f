"""Optuna's samplers by name, seeded so that a reopened study does not repeat its suggestions."""

import math
import warnings
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    GridSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial

from search_spaces import Space
from trainables.core.config import require_member
from trainables.core.derived_seeds import derive

SAMPLERS: dict[str, Any] = {
    "tpe": lambda seed, joint, grid: TPESampler(seed=seed, multivariate=True, group=joint, n_startup_trials=5),
    "gp": lambda seed, joint, grid: GPSampler(seed=seed, n_startup_trials=5, warn_independent_sampling=False),
    "nsga2": lambda seed, joint, grid: NSGAIISampler(seed=seed, population_size=16),
    "qmc": lambda seed, joint, grid: QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False),
    "grid": lambda seed, joint, grid: Grid(grid, seed),
    "random": lambda seed, joint, grid: RandomSampler(seed=seed),
}
JOINT = ("tpe",)  # those that sample conditional parameters jointly with the others
SEQUENCES = ("qmc", "grid")  # those that continue one sequence, whose scramble depends on the study's seed alone


class Grid(BaseSampler):
    """Optuna's grid in an order that the seed fixes; for `ask` and `tell`, where Optuna's own raises at its end."""

    def __init__(self, values: dict[str, list[Any]], seed: int) -> None:
        self.sampler = GridSampler(values, seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return nothing: every parameter is sampled by itself."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing: every parameter is sampled by itself."""
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Assign a point of the grid that no trial has had."""
        self.sampler.before_trial(study, trial)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the value of a parameter at the trial's point."""
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)


def grid_of(space: Space, values: int) -> dict[str, list[Any]]:
    """Return the values of a grid by parameter: all choices, and at most `values` of each number, evenly spaced.

    Numbers of a logarithmic distribution have a constant ratio. The ends of each distribution belong to the grid.
    """
    return {key: _grid_values(distribution, values) for key, distribution in space.parameters.items()}


def _grid_values(distribution: BaseDistribution, count: int) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        raise TypeError(f"no grid of {distribution}")
    low, high = distribution.low, distribution.high
    if distribution.log:
        spaced = np.exp(np.linspace(math.log(low), math.log(high), count))
        spaced[0], spaced[-1] = low, high  # which rounding may have put outside
    else:
        spaced = np.linspace(low, high, count)
    if distribution.step is not None:
        spaced = low + distribution.step * np.round((spaced - low) / distribution.step)
    number = int if isinstance(distribution, IntDistribution) else float
    return sorted({number(value) for value in spaced})


def grid_size(space: Space, values: int) -> int:
    """Return the number of points of a grid."""
    return math.prod(map(len, grid_of(space, values).values()))


def make_sampler(
    name: str, seed: int, trials_so_far: int, space: Space | None = None, grid_values: int = 3
) -> BaseSampler:
    """Return the named sampler, seeded by the study's seed and its number of trials; a sequence by the seed alone.

    Args:
        space: The search space, of which a grid consists; None for one without conditions.
        grid_values: Values of each continuous parameter of a grid.
    """
    require_member("sampler", name, SAMPLERS)
    chosen = derive(seed, "sampler", 0 if name in SEQUENCES else trials_so_far) % 2**32
    grid = grid_of(space, grid_values) if space else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of QMC and of TPE's groups: chosen by name
        sampler: BaseSampler = SAMPLERS[name](chosen, bool(space and space.conditions), grid)
    return sampler


def sampled_independently(name: str, space: Space) -> tuple[str, ...]:
    """Return the conditional parameters that a sampler samples at random, independently of the others."""
    return () if name in (*JOINT, "random", "grid") else tuple(space.conditions)
