"""Compare configurations that were trained anew with the default, paired by seeds, and recommend one.

The best of many trials was selected by its luck. At the end of a sweep the best configurations and the default are
therefore trained anew, repeat k of all of them under the same fresh seeds of training and noise. With value y_ik of
configuration i under seeds k (A configurations, n seeds) a randomised block design has

    d_i = mean_k y_ik - mean_k y_0k        s^2 = sum_ik (y_ik - y_i. - y_.k + y_..)^2 / ((A - 1) (n - 1))
    interval = d_i ± t_{(A - 1)(n - 1)} s sqrt(2 / n)

A configuration is better than the default if its interval of 95 % lies on the better side of 0. Each of the A - 1
comparisons of equal configurations finds that with probability 2.5 %, one of three with at most 7.5 %. Seeds are what
varies; the users of the validation split are the same in all trainings.

References: Design and Analysis of Experiments (Montgomery, 2017), section 4.1, randomised complete blocks.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna

from platform.study.noise import Noise, Repeat, noise_of, repeats_of
from platform.study.objectives import Objective
from trainables.eval.intervals.jackknife import Interval

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Retraining:
    """Configurations that were trained anew, by the number of the trial that each repeats.

    Attributes:
        asked: Trainings of each configuration that the sweep is to make; 0: it makes none.
        default: Trial of the default configuration; None where the study has none.
        gains: Difference from the default, with its interval; of those with all seeds of the default.
        means: Mean over the seeds.
        published: Repeat whose model stands for the configuration: that of the first seed, whatever its value.
        recommended: The configuration to use; None where none was compared with the default.
    """

    asked: int
    objective: Objective
    default: int | None = None
    gains: Mapping[int, Interval] = field(default_factory=dict)
    means: Mapping[int, float] = field(default_factory=dict)
    published: Mapping[int, int] = field(default_factory=dict)
    noise: Noise | None = None
    recommended: int | None = None

    @property
    def conclusion(self) -> str:
        """What the trainings anew say about the best configuration, in a sentence."""
        if not self.asked:
            return (
                "no trial was trained anew (finalists.retrain_seeds=0): the search estimate of the best one is too "
                "good by its luck, and no gain over the default is shown; budget=standard trains both anew"
            )
        if self.default is None:
            return "the default configuration is not in this study: nothing is compared with it"
        if self.recommended is None:
            return "finalists and default are not all trained anew yet; run the same command again to continue"
        if self.recommended == self.default:
            return f"no trial beats the default; recommended: trial {self.default}, the default configuration"
        gain, best = abs(self.gains[self.recommended].value), f"trial {self.recommended}"
        return f"{best} beats the default by {gain:.3f} in {self.objective.text}; recommended: {best}"

    def to_json(self) -> dict[str, Any]:
        """Return the content of `leaderboard.json` about it."""
        noise = None if self.noise is None else {"sd": self.noise.sd, "df": self.noise.df, "source": self.noise.source}
        return {
            "asked": self.asked,
            "default": self.default,
            "recommended": self.recommended,
            "noise": noise,
            "conclusion": self.conclusion,
        }


def retraining_of(study: optuna.Study, objective: Objective, default: int | None, asked: int) -> Retraining:
    """Return the configurations of a study that were trained anew, compared with the default.

    Args:
        default: Trial of the default configuration; None where the study has none.
        asked: Trainings of each configuration that the sweep is to make.
    """
    repeats = repeats_of(study, objective)
    trials = dict.fromkeys(one.of for one in repeats)
    by_trial = {of: {one.seed: one for one in repeats if one.of == of} for of in trials}
    means = {of: float(np.mean([one.value for one in mine.values()])) for of, mine in by_trial.items()}
    published = {of: mine[min(mine)].number for of, mine in by_trial.items()}
    gains = compared(by_trial, default)
    best = _recommended(gains, means, objective, default) if gains else None
    return Retraining(asked, objective, default, gains, means, published, noise_of(study, objective), best)


def compared(by_trial: Mapping[int, Mapping[int, Repeat]], default: int | None) -> dict[int, Interval]:
    """Return the difference of each configuration from the default; of those with all of its seeds, of two at least.

    Args:
        by_trial: Trial -> seed of the training -> its repeat.
    """
    seeds = sorted(by_trial.get(default, {})) if default is not None else []
    whole = [of for of, mine in by_trial.items() if of != default and set(seeds) <= set(mine)]
    if len(seeds) < 2 or not whole or default is None:
        return {}
    values = np.array([[by_trial[of][seed].value for seed in seeds] for of in (default, *whole)])
    means = values.mean(axis=1)
    residuals = values - means[:, None] - values.mean(axis=0) + values.mean()
    df = (len(values) - 1) * (len(seeds) - 1)
    noise = Noise(math.sqrt(float((residuals**2).sum()) / df), df, "the paired trainings")
    return {of: _interval(float(mean - means[0]), noise, len(seeds)) for of, mean in zip(whole, means[1:], strict=True)}


def _interval(value: float, noise: Noise, seeds: int) -> Interval:
    from scipy.special import stdtrit  # here: commands that only list studies start faster without SciPy

    se = noise.standard_error(seeds)
    reach = float(stdtrit(noise.df, (1 + CONFIDENCE) / 2)) * se
    return Interval(value, se, value - reach, value + reach, int(noise.df))


def _recommended(
    gains: Mapping[int, Interval], means: Mapping[int, float], objective: Objective, default: int | None
) -> int | None:
    """Return the best configuration that is better than the default; the default where none is."""
    sign = 1.0 if objective.minimised else -1.0
    better = [of for of, gain in gains.items() if (gain.high < 0 if objective.minimised else gain.low > 0)]
    return min(better, key=lambda of: sign * means[of], default=default)
