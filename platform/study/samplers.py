"""Optuna's samplers by name, seeded so that a reopened study does not repeat its suggestions."""

import warnings
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler

from search_spaces import Space
from trainables.core.config import require_member
from trainables.core.derived_seeds import derive

SAMPLERS: dict[str, Any] = {
    "tpe": lambda seed, joint: TPESampler(seed=seed, multivariate=True, group=joint, n_startup_trials=5),
    "gp": lambda seed, joint: GPSampler(seed=seed, n_startup_trials=5, warn_independent_sampling=False),
    "nsga2": lambda seed, joint: NSGAIISampler(seed=seed, population_size=16),
    "qmc": lambda seed, joint: QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False),
    "random": lambda seed, joint: RandomSampler(seed=seed),
}
JOINT = ("tpe",)  # those that sample conditional parameters jointly with the others


def make_sampler(name: str, seed: int, trials_so_far: int, conditional: bool = False) -> BaseSampler:
    """Return the named sampler, seeded by the study's seed and its number of trials."""
    require_member("sampler", name, SAMPLERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of QMC and of TPE's groups: chosen by name
        sampler: BaseSampler = SAMPLERS[name](derive(seed, "sampler", trials_so_far) % 2**32, conditional)
    return sampler


def sampled_independently(name: str, space: Space) -> tuple[str, ...]:
    """Return the conditional parameters that a sampler samples at random, independently of the others."""
    return () if name in (*JOINT, "random") else tuple(space.conditions)
