"""Parameter importances: PED-ANOVA over all trials with a result, each beside the importance under shuffled values.

Optuna evaluates COMPLETE trials only. Most trials of a search with successive halving are PRUNED, and the others are
all alike, so here every trial counts with the value of its last report: a pruned trial is not among the best.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, create_trial

LEAST = 10  # results below which an importance is an accident
TOP, TOP_TRIALS = 0.1, 5  # the best tenth, but never fewer than this: what Optuna advises
SHUFFLES, LEVEL = 60, 0.95


class NotShownError(ValueError):
    """A plot cannot be shown; the message is the reason, which takes its place."""


@dataclass(frozen=True)
class Importance:
    """The importance of one parameter.

    Attributes:
        value: Pearson divergence of its density among the best trials from that among all.
        chance: The 95 % quantile of the same after the values were shuffled among the trials.
    """

    value: float
    chance: float


def importances(trials: Sequence[FrozenTrial], values: Mapping[int, float]) -> dict[str, Importance]:
    """Return the importance of every parameter for being among the best tenth, greatest first.

    Args:
        values: Number of a trial -> minimised value.

    Raises:
        NotShownError: too few results, or too few different ones.

    References: PED-ANOVA (Watanabe et al., 2023), arXiv:2304.10255; for conditional parameters arXiv:2601.20800.
    """
    evaluator = PedAnovaImportanceEvaluator(target_quantile=_top_quantile(list(values.values())))
    study, rng = in_memory(trials, values), np.random.default_rng(0)
    observed = np.array([values[number] for number in sorted(values)])

    def evaluate(order: Sequence[float]) -> dict[str, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that lower is better, and that few trials have some condition
            return evaluator.evaluate(study, target=lambda trial: order[trial.number])

    found = evaluate(observed.tolist())
    shuffled = [evaluate(rng.permutation(observed).tolist()) for _ in range(SHUFFLES)]
    chance = {name: float(np.quantile([one[name] for one in shuffled], LEVEL)) for name in found}
    order = sorted(found, key=lambda name: (-found[name], name))
    return {name: Importance(found[name], chance[name]) for name in order}


def _top_quantile(values: Sequence[float]) -> float:
    """Return the share of trials that count as the best: a tenth, but at least five.

    Raises:
        NotShownError: there are too few trials, or too many equal ones, for the best to differ from the others.
    """
    if len(values) < LEAST:
        raise NotShownError(f"importances need {LEAST} trials with a result, and there are {len(values)}")
    quantile = max(TOP, TOP_TRIALS / len(values))
    worst_of_them = sorted(values)[math.ceil(quantile * len(values)) - 1]
    if sum(value <= worst_of_them for value in values) > len(values) / 2:
        raise NotShownError("more than half of the trials are equally good, so that none are the best")
    return quantile


def in_memory(trials: Sequence[FrozenTrial], values: Mapping[int, float]) -> optuna.Study:
    """Return a study in memory with one minimised objective: the trials that have a value, all as COMPLETE."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    optuna.logging.set_verbosity(verbosity)
    chosen = [trials[number] for number in sorted(values)]
    study.add_trials(
        [create_trial(value=values[t.number], params=t.params, distributions=t.distributions) for t in chosen]
    )
    return study
