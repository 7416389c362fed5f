"""FNR by family: the definition in plain loops, and the worst of the unseen families."""

import random
from collections.abc import Collection

import pytest
import torch
from torch import Tensor

from tests.trainables.detector.definitions import area_by_definition, fnr_by_definition
from trainables.detector.evaluation.detection_rates import area, detection_rates
from trainables.detector.evaluation.metrics import DETECTION
from trainables.training.metric import compute_all
from trainables.training.metric_names import (
    VAL_FNR_SEEN,
    VAL_FNR_UNSEEN,
    VAL_FNR_WORST_UNSEEN,
    VAL_SEEN_AUC,
    VAL_UNSEEN_AUC,
    family_fnr,
)

FPR = 0.1


def rates(users: Tensor, bots: dict[str, Tensor], unseen: Collection[str], fpr: float) -> dict[str, float]:
    """All metrics of scores."""
    return compute_all(DETECTION.metrics, detection_rates(users, bots, unseen, fpr))


def drawn(seed: int, count: int, shift: float = 0.0, ties: bool = False) -> Tensor:
    scores = torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift
    return scores.round() if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_rates_and_areas_are_their_definitions(ties: bool) -> None:
    for seed in range(20):
        users = drawn(seed, 37, ties=ties)
        bots = {name: drawn(100 * seed + k, 20 + k, k, ties) for k, name in enumerate("abcd")}
        found = rates(users, bots, {"b", "d", "never made"}, FPR)
        lists = {name: scores.tolist() for name, scores in bots.items()}
        fnr = {name: fnr_by_definition(users.tolist(), scores, FPR) for name, scores in lists.items()}
        areas = {name: area_by_definition(users.tolist(), scores) for name, scores in lists.items()}
        assert {name: found[family_fnr(name)] for name in bots} == pytest.approx(fnr)
        assert found[VAL_FNR_WORST_UNSEEN] == pytest.approx(max(fnr["b"], fnr["d"]))
        assert found[VAL_FNR_UNSEEN] == pytest.approx((fnr["b"] + fnr["d"]) / 2)
        assert found[VAL_FNR_SEEN] == pytest.approx((fnr["a"] + fnr["c"]) / 2)
        assert found[VAL_UNSEEN_AUC] == pytest.approx((areas["b"] + areas["d"]) / 2)
        assert found[VAL_SEEN_AUC] == pytest.approx((areas["a"] + areas["c"]) / 2)


@pytest.mark.parametrize(
    ("unseen", "absent"),
    [((), {VAL_FNR_WORST_UNSEEN, VAL_FNR_UNSEEN, VAL_UNSEEN_AUC}), (("a",), {VAL_FNR_SEEN, VAL_SEEN_AUC})],
)
def test_metrics_without_a_family_are_left_out(unseen: tuple[str, ...], absent: set[str]) -> None:
    everything = {VAL_FNR_WORST_UNSEEN, VAL_FNR_UNSEEN, VAL_UNSEEN_AUC, VAL_FNR_SEEN, VAL_SEEN_AUC}
    found = rates(drawn(0, 20), {"a": drawn(1, 9)}, unseen, FPR)
    assert everything - set(found) == absent


def test_bots_like_users_are_not_detected_and_distant_ones_are() -> None:
    """Of 400 bots like users 0.898 are not detected in expectation; beyond ± 0.095 (4.5 s.e.) once in 100,000 seeds.

    Bots eight standard deviations off are all detected.
    """
    found = rates(drawn(1, 1000), {"alike": drawn(2, 400), "far": drawn(3, 400, shift=8.0)}, (), FPR)
    assert abs(found[family_fnr("alike")] - 0.9) < 0.095
    assert found[family_fnr("far")] == 0.0


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="to be finite"):
        rates(torch.tensor([0.0, torch.nan]), {"a": drawn(1, 3)}, (), FPR)


def test_the_area_does_not_depend_on_the_scale() -> None:
    users, bots = drawn(1, 50), drawn(2, 60, shift=0.5)
    stretch = random.Random(0).uniform(2.0, 3.0)
    assert area(users * stretch - 1, bots * stretch - 1) == pytest.approx(area(users, bots))
    assert area(-users, -bots) == pytest.approx(1 - area(users, bots))
