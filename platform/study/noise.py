"""Noise of a study's objective between trainings of one configuration, and the gain that it lets a budget show.

Repeats of a configuration differ in their seeds alone. With s^2 the variance within configurations, pooled over all
that were repeated, at df degrees of freedom, the means of two configurations of n seeds each differ with standard error

    se = s sqrt(2 / n)

A two-sided t test of level a finds a true difference d with power p where T, noncentral t of df degrees of freedom and
noncentrality d / se, exceeds the quantile t_{df, 1 - a/2} with probability p. The smallest such d is the gain that n
seeds can show; with df -> infinity it is (z_{1 - a/2} + z_p) s sqrt(2 / n).

References: Statistical Power Analysis for the Behavioral Sciences (Cohen, 1988), section 2.3.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from platform.study.objectives import Objective
from platform.study.resume import METRICS, OVERRIDES, REPEATS
from platform.study.seeds import TRAINING_SEED

POWER, LEVEL = 0.8, 0.05


@dataclass(frozen=True)
class Noise:
    """Standard deviation of an objective between trainings of one configuration.

    Attributes:
        df: Degrees of freedom of the estimate.
        source: Where it is from, in words.
    """

    sd: float
    df: float
    source: str

    def smallest_gain(self, seeds: int, power: float = POWER, level: float = LEVEL) -> float:
        """Return the smallest difference that two configurations of so many seeds each show with this power."""
        from scipy.special import nctdtrinc, stdtrit  # here: commands that only list studies start faster without SciPy

        noncentrality = float(nctdtrinc(self.df, 1 - power, stdtrit(self.df, 1 - level / 2)))
        return noncentrality * self.standard_error(seeds)

    def standard_error(self, seeds: int) -> float:
        """Return the standard error of the difference between two means of so many seeds each."""
        return self.sd * math.sqrt(2 / seeds)


MEASURED = {
    ("diffusion", "val/auc_excess"): Noise(0.011, 100, "150-step trainings of the diffusion model; not of this study")
}
"""Trainable and objective -> noise that stands in until a study has repeats of its own."""


@dataclass(frozen=True)
class Repeat:
    """A completed training of a configuration with other seeds.

    Attributes:
        of: Number of the trial that it repeats.
        seed: Of its training; repeats of the same seed are compared in pairs.
        value: The first objective.
    """

    number: int
    of: int
    seed: int
    value: float


def noise_for(study: optuna.Study | None, trainable: str, objective: Objective) -> Noise | None:
    """Return the noise of a study's repeats, else the measured one of its trainable; None where neither is known."""
    own = noise_of(study, objective) if study is not None else None
    return own or MEASURED.get((trainable, objective.text))


def repeats_of(study: optuna.Study, objective: Objective) -> list[Repeat]:
    """Return the completed repeats of a study that have the objective, by the trial that they repeat, then by seed."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(_repeats(ended, objective), key=lambda repeat: (repeat.of, repeat.seed))


def _repeats(trials: Sequence[FrozenTrial], objective: Objective) -> Iterator[Repeat]:
    for trial in trials:
        attributes = trial.user_attrs
        value = objective.value(attributes.get(METRICS, {})) if REPEATS in attributes else None
        if value is not None:
            yield Repeat(trial.number, attributes[REPEATS], attributes[OVERRIDES][TRAINING_SEED], value)


def noise_of(study: optuna.Study, objective: Objective) -> Noise | None:
    """Return the noise of the repeats of a study; None where no configuration was repeated twice."""
    repeats = repeats_of(study, objective)
    groups = [[repeat.value for repeat in group] for _, group in groupby(repeats, key=lambda repeat: repeat.of)]
    several = [values for values in groups if len(values) > 1]
    df = sum(len(values) - 1 for values in several)
    if df == 0:
        return None
    variance = sum(float(np.var(values, ddof=1)) * (len(values) - 1) for values in several) / df
    trained = sum(map(len, several))
    return Noise(math.sqrt(variance), df, f"{trained} repeats of {len(several)} configuration(s) of this study")
