"""Optuna's samplers by name, seeded so that a reopened study does not repeat its suggestions.

Those that learn from trials sample jointly in the space of the sweep as it is now. Optuna infers from the trials which
parameters it samples jointly: those with one and the same distribution in all of them. After an interval was widened
that would be none, or the earlier interval.
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
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
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search_spaces import Space
from trainables.core.config import require_member
from trainables.core.derived_seeds import derive

STARTUP = 5  # trials at random before a model of trials is fitted
POPULATION = 16  # trials of a generation

SAMPLERS: dict[str, Any] = {
    "tpe": lambda seed, grid: TPESampler(seed=seed, multivariate=True, n_startup_trials=STARTUP),
    "gp": lambda seed, grid: GPSampler(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False),
    "nsga2": lambda seed, grid: NSGAIISampler(seed=seed, population_size=POPULATION),
    "qmc": lambda seed, grid: QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False),
    "grid": lambda seed, grid: Grid(grid, seed),
    "random": lambda seed, grid: RandomSampler(seed=seed),
}
INDEPENDENT = ("random", "qmc", "grid")  # those that learn nothing from trials
JOINT = ("tpe",)  # those that sample conditional parameters jointly with the others
SEQUENCES = ("qmc", "grid")  # those that continue one sequence, whose scramble depends on the study's seed alone

FROM_COMPLETE = {"gp": STARTUP, "nsga2": POPULATION}
"""Samplers that learn from COMPLETE trials only -> how many they sample at random before."""


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


def make_sampler(name: str, seed: int, trials_so_far: int, grid: Mapping[str, list[Any]] | None = None) -> BaseSampler:
    """Return the named sampler, seeded by the study's seed and its number of trials; a sequence by the seed alone.

    Args:
        grid: Values of a grid by parameter; only `grid` reads them.
    """
    require_member("sampler", name, SAMPLERS)
    chosen = derive(seed, "sampler", 0 if name in SEQUENCES else trials_so_far) % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of QMC: chosen by name
        sampler: BaseSampler = SAMPLERS[name](chosen, dict(grid or {}))
    return sampler


def sampler_for(name: str, seed: int, trials_so_far: int, space: Space, grid_values: int = 3) -> BaseSampler:
    """Return the named sampler of a space; one that learns from trials samples jointly in the space as it is now.

    Args:
        grid_values: Values of each continuous parameter of a grid.
    """
    sampler = make_sampler(name, seed, trials_so_far, grid_of(space, grid_values) if name == "grid" else None)
    return sampler if name in INDEPENDENT else JointSampler(name, sampler, space)


def sampled_independently(name: str, space: Space) -> tuple[str, ...]:
    """Return the conditional parameters that a sampler samples at random, independently of the others."""
    return () if name in (*JOINT, "random", "grid") else tuple(space.conditions)


class JointSampler(BaseSampler):
    """A sampler whose joint space is that of a sweep.

    Conditional parameters that the sampler can sample jointly are sampled beside the others, those of one condition
    together, as they have been in the same trials.
    """

    def __init__(self, name: str, sampler: BaseSampler, space: Space) -> None:
        self.sampler = sampler
        self.groups = _groups(space, sampled_independently(name, space))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the distributions of all parameters that are sampled jointly with others."""
        return {key: distribution for group in self.groups for key, distribution in group.items()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample each group of parameters from the trials so far; NumPy's numbers, as NSGA-II's, become Python's."""
        found: dict[str, Any] = {}
        for group in self.groups:
            found |= self.sampler.sample_relative(study, trial, group)
        return {key: value.item() if isinstance(value, np.generic) else value for key, value in found.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Sample one parameter by itself."""
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Give the sampler another seed."""
        self.sampler.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Hand on that a trial begins."""
        self.sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Hand on that a trial has ended."""
        self.sampler.after_trial(study, trial, state, values)


def _groups(space: Space, apart: tuple[str, ...]) -> list[dict[str, BaseDistribution]]:
    """Return the parameters that are sampled together: the unconditional ones, then those of each condition."""
    groups = dict[Any, dict[str, BaseDistribution]]()
    for key in sorted(space.parameters):
        if key not in apart and not space.parameters[key].single():
            groups.setdefault(space.conditions.get(key), {})[key] = space.parameters[key]
    return list(groups.values())
