"""Two-sample tests by probes: how well each separates samples from the movements that they match, against its floor.

The floor of a probe is its AUC where other users of the same source stand in the place of the samples, at the same
number of movements, users and folds. The headline is the largest excess of an AUC over its floor: 0 for a generator
that is to the evaluated users what another user is, at most one half. Of several sources the tests are made within
each, and every figure is the mean over sources.

References: Revisiting Classifier Two-Sample Tests (Lopez-Paz & Oquab, 2017), arXiv:1610.06545.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from trainables.eval.generation.config import HEADLINE_PROBES
from trainables.eval.generation.metrics.evaluation_type import GeneratorEvaluation
from trainables.training.metric import SHARE, Metric
from trainables.training.metric_names import (
    MINIMISED,
    VAL_AUC_EXCESS,
    VAL_SERVED_EXCESS,
    probe_accuracy,
    probe_auc,
    probe_floor,
)

NO_EXCESS = 0.0  # of samples that are distinguished from the evaluated users no better than other users are
RANGE = (-1.0, 1.0)


def excess(evaluation: GeneratorEvaluation) -> float:
    """Return the largest excess of a probe's AUC over its floor."""
    return evaluation.excess()


def excess_per_user(evaluation: GeneratorEvaluation) -> Callable[[Any], float]:
    """Return the excess on chosen movements, from the scores of one fit, over the floor on the same movements."""
    return lambda movements: evaluation.excess(evaluation.samples_of(movements))


def auc(probe: str, evaluation: GeneratorEvaluation) -> float | None:
    """Return the AUC of a probe, averaged over folds; None where it was not chosen."""
    return evaluation.scores[probe].auc() if probe in evaluation.scores else None


def auc_per_user(probe: str, evaluation: GeneratorEvaluation) -> Callable[[Any], float]:
    """Return the AUC on chosen movements, from the scores of one fit."""
    return lambda movements: evaluation.scores[probe].auc(evaluation.samples_of(movements))


def accuracy(probe: str, evaluation: GeneratorEvaluation) -> float | None:
    """Return the balanced accuracy at the thresholds of the training rows; None where the probe was not chosen."""
    return evaluation.scores[probe].accuracy() if probe in evaluation.scores else None


def accuracy_per_user(probe: str, evaluation: GeneratorEvaluation) -> Callable[[Any], float]:
    """Return the accuracy on chosen movements, from the scores of one fit."""
    return lambda movements: evaluation.scores[probe].accuracy(evaluation.samples_of(movements))


def floor(probe: str, evaluation: GeneratorEvaluation) -> float | None:
    """Return the AUC of other users in the place of the samples; None where the probe was not chosen."""
    return evaluation.floor(probe) if probe in evaluation.floors else None


def floor_per_user(probe: str, evaluation: GeneratorEvaluation) -> Callable[[Any], float]:
    """Return the floor on chosen movements."""
    return lambda movements: evaluation.floor(probe, evaluation.samples_of(movements))


def _of_probe(probe: str) -> Iterator[Metric[GeneratorEvaluation]]:
    yield Metric(
        probe_auc(probe),
        MINIMISED,
        f"AUC of the probe `{probe}` between samples and the movements that they match; one half: not separated.",
        title=f"AUC, {probe}",
        digits=3,
        range=SHARE,
        compute=partial(auc, probe),
        per_user=partial(auc_per_user, probe),
    )
    yield Metric(
        probe_accuracy(probe),
        MINIMISED,
        "Balanced accuracy of the same probe at the threshold that is best on the training rows of each fold.",
        title=f"accuracy, {probe}",
        digits=3,
        range=SHARE,
        compute=partial(accuracy, probe),
        per_user=partial(accuracy_per_user, probe),
    )
    yield Metric(
        probe_floor(probe),
        MINIMISED,
        "Its floor: the AUC where other users of the same source stand in the place of the samples.",
        title=f"floor, {probe}",
        digits=3,
        range=SHARE,
        compute=partial(floor, probe),
        per_user=partial(floor_per_user, probe),
    )


METRICS = (
    Metric(
        VAL_AUC_EXCESS,
        MINIMISED,
        "Largest excess of a probe's AUC over its floor, of several sources their mean: what a search minimises; 0: as "
        "other users.",
        title="AUC excess",
        digits=3,
        chance=NO_EXCESS,
        range=RANGE,
        compute=excess,
        per_user=excess_per_user,
    ),
    Metric(
        VAL_SERVED_EXCESS,
        MINIMISED,
        "The same of samples as they are served, under conditions of training users: of those in the floor.",
        title="AUC excess, served",
        digits=3,
        range=RANGE,
        reported=False,
    ),
    *(metric for probe in HEADLINE_PROBES for metric in _of_probe(probe)),
)
