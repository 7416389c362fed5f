"""Optuna's samplers by name, seeded so that a reopened study does not repeat its suggestions.

Those that learn from trials sample jointly in the space of the sweep as it is now. Optuna infers from the trials which
parameters it samples jointly: those with one and the same distribution in all of them. After an interval was widened
that would be none, or the earlier interval.
"""

import warnings
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search_spaces import Space
from trainables.core.config import require_member
from trainables.core.derived_seeds import derive

STARTUP = 5  # trials at random before a model of trials is fitted
POPULATION = 16  # trials of a generation

SAMPLERS: dict[str, Any] = {
    "tpe": lambda seed: TPESampler(seed=seed, multivariate=True, n_startup_trials=STARTUP),
    "gp": lambda seed: GPSampler(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False),
    "nsga2": lambda seed: NSGAIISampler(seed=seed, population_size=POPULATION),
    "qmc": lambda seed: QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False),
    "random": lambda seed: RandomSampler(seed=seed),
}
INDEPENDENT = ("random", "qmc")  # those that learn nothing from trials
JOINT = ("tpe",)  # those that sample conditional parameters jointly with the others

FROM_COMPLETE = {"gp": STARTUP, "nsga2": POPULATION}
"""Samplers that learn from COMPLETE trials only -> how many they sample at random before."""


def make_sampler(name: str, seed: int, trials_so_far: int) -> BaseSampler:
    """Return the named sampler, seeded by the study's seed and its number of trials."""
    require_member("sampler", name, SAMPLERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of QMC and of TPE's groups: chosen by name
        sampler: BaseSampler = SAMPLERS[name](derive(seed, "sampler", trials_so_far) % 2**32)
    return sampler


def sampler_for(name: str, seed: int, trials_so_far: int, space: Space) -> BaseSampler:
    """Return the named sampler of a space; one that learns from trials samples jointly in the space as it is now."""
    sampler = make_sampler(name, seed, trials_so_far)
    return sampler if name in INDEPENDENT else JointSampler(name, sampler, space)


def sampled_independently(name: str, space: Space) -> tuple[str, ...]:
    """Return the conditional parameters that a sampler samples at random, independently of the others."""
    return () if name in (*JOINT, "random") else tuple(space.conditions)


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
        """Sample each group of parameters from the trials so far."""
        found: dict[str, Any] = {}
        for group in self.groups:
            found |= self.sampler.sample_relative(study, trial, group)
        return found

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
