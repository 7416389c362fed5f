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
    return evaluation.tests.largest_excess()


def excess_per_user(evaluation: GeneratorEvaluation) -> Callable[[Any], float]:
    """Return the excess on chosen movements, from the scores of one fit, over the floor on the same movements."""
    return lambda movements: evaluation.tests.largest_excess(evaluation.samples_of(movements))


def of_probe(test: str, probe: str, evaluation: GeneratorEvaluation) -> float | None:
    """Return `auc`, `accuracy` or `floor` of a probe on all movements; None where the probe was not chosen."""
    tests = evaluation.tests
    return _method(tests, test)(None, probe) if probe in tests.scores else None


def of_probe_per_user(test: str, probe: str, evaluation: GeneratorEvaluation) -> Callable[[Any], float]:
    """Return the same on chosen movements, from the scores of one fit."""
    method = _method(evaluation.tests, test)
    return lambda movements: method(evaluation.samples_of(movements), probe)


def _method(tests: Any, name: str) -> Callable[[Any, str], float]:
    """Return a test of `ProbeTests`: (chosen pairs or None, name of a probe) -> its value."""
    method: Callable[[Any, str], float] = getattr(tests, name)
    return method


def _of_probe(probe: str) -> Iterator[Metric[GeneratorEvaluation]]:
    yield Metric(
        probe_auc(probe),
        MINIMISED,
        f"AUC of the probe `{probe}` between samples and the movements that they match; one half: not separated.",
        title=f"AUC, {probe}",
        digits=3,
        range=SHARE,
        compute=partial(of_probe, "auc", probe),
        per_user=partial(of_probe_per_user, "auc", probe),
    )
    yield Metric(
        probe_accuracy(probe),
        MINIMISED,
        "Balanced accuracy of the same probe at the threshold that is best on the training rows of each fold.",
        title=f"accuracy, {probe}",
        digits=3,
        range=SHARE,
        compute=partial(of_probe, "accuracy", probe),
        per_user=partial(of_probe_per_user, "accuracy", probe),
    )
    yield Metric(
        probe_floor(probe),
        MINIMISED,
        "Its floor: the AUC where other users of the same source stand in the place of the samples.",
        title=f"floor, {probe}",
        digits=3,
        range=SHARE,
        compute=partial(of_probe, "floor", probe),
        per_user=partial(of_probe_per_user, "floor", probe),
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
