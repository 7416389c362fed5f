"""The metric registry: every kind is in it, and a search minimises the metric that is shown."""

import math

import pytest

from trainables.detector.evaluation.metrics import DETECTION
from trainables.metric_registry import (
    DIRECTIONS,
    METRIC_SETS,
    METRICS,
    digits,
    symbol,
    title,
    value_range,
)
from trainables.model_evaluation.reevaluate import EVALUATORS
from trainables.specs import TRAINABLES
from trainables.training.metric import DIGITS, MetricSet
from trainables.training.metric_names import (
    MINIMISED,
    VAL_AUC_EXCESS,
    VAL_FNR_SEEN,
    VAL_FNR_WORST_UNSEEN,
    VAL_MMD,
)
from trainables.training.run_folder import best_epoch

EVERY_KIND = pytest.mark.parametrize("metric_set", METRIC_SETS.values(), ids=METRIC_SETS.keys())


def test_every_trainable_has_metrics() -> None:
    assert set(METRIC_SETS) == set(TRAINABLES)


def test_every_model_type_can_be_evaluated_again() -> None:
    assert set(EVALUATORS) == {spec.model_type.name for spec in TRAINABLES.values()}


@EVERY_KIND
def test_the_shown_metrics_are_known_minimised_and_two_at_least(metric_set: MetricSet) -> None:
    """Smaller is better in all of them: rankings and leaderboards take them as they are."""
    assert len(set(metric_set.shown)) == len(metric_set.shown) >= 2
    assert all(name in METRICS and DIRECTIONS[name] == MINIMISED for name in metric_set.shown)
    assert (metric_set.headline, metric_set.tie_breaker) == metric_set.shown[:2]


def test_rates_and_areas_are_known_to_end_at_0_and_1_and_a_discrepancy_to_be_unbounded() -> None:
    for name in ("val/auc_pixels", "val/floor_pixels", "val/fnr_at_fpr_worst_unseen", "val/fpr", "val/precision"):
        assert value_range(name) == (0.0, 1.0)
    assert value_range("val/auc_excess") == (-1.0, 1.0)
    assert value_range("val/density") == (0.0, math.inf)
    assert value_range("val/mmd") == (-math.inf, math.inf)


def test_a_metric_without_a_record_is_shown_by_its_name() -> None:
    assert (title("val/x"), symbol("val/x"), digits("val/x")) == ("val/x", "val/x", DIGITS)
    assert (title(VAL_MMD), symbol(VAL_MMD), symbol(VAL_AUC_EXCESS)) == ("MMD", "MMD²", "AUC excess")


def test_the_best_epoch_of_a_detector_has_the_lowest_fnr_of_the_worst_family() -> None:
    lines = [{"epoch": epoch, VAL_FNR_WORST_UNSEEN: miss} for epoch, miss in enumerate([0.0, 0.5, 0.2, 0.2, 0.3])]
    assert best_epoch(lines, DETECTION.epoch_order) == 2
    never_unseen = [{"epoch": epoch, VAL_FNR_SEEN: miss} for epoch, miss in enumerate([0.0, 0.5, 0.3, 0.2])]
    assert best_epoch(never_unseen, DETECTION.epoch_order) == 3
