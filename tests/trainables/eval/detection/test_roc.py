"""Detection metrics: definitions in plain loops, thresholds that keep the target FPR, intervals with coverage."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from torch import Tensor

from trainables.core.seeding import generator
from trainables.eval.detection import roc
from trainables.eval.detection.roc import detection_metrics, equal_error_rate, pr_auc, threshold_at_fpr
from trainables.eval.intervals.cluster_bootstrap import cluster_weights
from trainables.eval.intervals.config import BootstrapConfig
from trainables.eval.roc_curve import Curve, curve, roc_auc

CONFIG = BootstrapConfig(replicates=200, level=0.9)
ONE = torch.ones(1, 1, dtype=torch.float64)


def drawn(seed: int, human: int, bots: int, shift: float, grid: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return scores in (0, 1), human ones first, bots higher by `shift` s.d.; rounded to `grid` they tie."""
    random = generator(seed, "scores")
    normal = torch.randn(human + bots, generator=random, dtype=torch.float64)
    is_bot = torch.arange(human + bots) >= human
    scores = torch.sigmoid(normal + shift * is_bot)
    return (scores / grid).round() * grid if grid else scores, is_bot


def rows(scores: Tensor, is_bot: Tensor) -> Curve:
    return curve(scores, is_bot, ONE.expand(1, len(scores)))


@pytest.mark.parametrize("grid", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_the_area_is_the_share_of_pairs_in_order_ties_by_halves(seed: int, grid: float) -> None:
    scores, is_bot = drawn(seed, 23, 17, 0.7, grid)
    human, bots, won = scores[~is_bot].tolist(), scores[is_bot].tolist(), 0.0
    for bot in bots:
        for user in human:
            won += 1.0 if bot > user else 0.5 if bot == user else 0.0
    assert roc_auc(rows(scores, is_bot)).item() == pytest.approx(won / (17 * 23), abs=1e-12)


@pytest.mark.parametrize("grid", [0.0, 0.05])
def test_areas_equal_those_of_scikit_learn_also_under_weights(grid: float) -> None:
    scores, is_bot = drawn(5, 60, 40, 0.9, grid)
    weights = torch.randint(0, 4, (6, 100), generator=generator(0, "weights")).double()
    rates = curve(scores, is_bot, weights)
    for row, auc, ap in zip(weights.numpy(), roc_auc(rates).tolist(), pr_auc(rates).tolist(), strict=True):
        assert auc == pytest.approx(roc_auc_score(is_bot, scores, sample_weight=row), abs=1e-12)
        assert ap == pytest.approx(average_precision_score(is_bot, scores, sample_weight=row), abs=1e-12)


def test_a_weight_is_so_many_copies_of_a_row() -> None:
    scores, is_bot = drawn(6, 20, 15, 0.5, 0.1)
    weights = torch.randint(0, 3, (35,), generator=generator(1, "weights"))
    copies = torch.arange(35).repeat_interleave(weights)
    for figure in roc.CURVE_METRICS.values():
        weighted = figure(curve(scores, is_bot, weights.double()[None]))
        assert weighted.item() == pytest.approx(figure(rows(scores[copies], is_bot[copies])).item(), abs=1e-12)


@pytest.mark.parametrize("grid", [0.0, 0.1])
def test_at_the_equal_error_rate_fpr_equals_fnr(grid: float) -> None:
    """The oracle walks along the curve, from corner to corner, until the two errors have crossed."""
    scores, is_bot = drawn(7, 31, 24, 1.1, grid)
    corners = [(0.0, 1.0)]
    for s in sorted(set(scores.tolist()), reverse=True):
        fpr = sum(v >= s for v in scores[~is_bot].tolist()) / 31
        missed = sum(v < s for v in scores[is_bot].tolist()) / 24
        corners.append((fpr, missed))
    found = None
    for (a0, m0), (a1, m1) in pairwise(corners):
        if found is None and a1 >= m1:
            share = (m0 - a0) / ((m0 - a0) + (a1 - m1))
            found = a0 + share * (a1 - a0)
    assert equal_error_rate(rows(scores, is_bot)).item() == pytest.approx(found, abs=1e-12)


def test_metrics_at_the_extremes() -> None:
    apart = torch.cat([torch.linspace(0, 0.4, 12), torch.linspace(0.6, 1, 9)]).double()
    is_bot = torch.arange(21) >= 12
    for scores, auc, eer in ((apart, 1.0, 0.0), (1 - apart, 0.0, 1.0), (torch.full_like(apart, 0.5), 0.5, 0.5)):
        rates = rows(scores, is_bot)
        assert roc_auc(rates).item() == pytest.approx(auc)
        assert equal_error_rate(rates).item() == pytest.approx(eer)
    assert pr_auc(rows(torch.full_like(apart, 0.5), is_bot)).item() == pytest.approx(9 / 21)


def test_metrics_do_not_depend_on_the_order_of_rows_nor_on_the_scale_of_scores() -> None:
    scores, is_bot = drawn(8, 40, 30, 0.6, 0.05)
    order = torch.randperm(70, generator=generator(2, "order"))
    for figure in roc.CURVE_METRICS.values():
        expected = figure(rows(scores, is_bot)).item()
        assert figure(rows(scores[order], is_bot[order])).item() == pytest.approx(expected, abs=1e-12)
        assert figure(rows(scores.exp() * 7, is_bot)).item() == pytest.approx(expected, abs=1e-12)


def test_f1_equals_that_of_scikit_learn() -> None:
    scores, is_bot = drawn(9, 50, 20, 1.0, 0.05)
    weights = torch.randint(0, 3, (5, 70), generator=generator(3, "weights")).double()
    found = roc.f1_score(scores, is_bot, weights, 0.6)
    for row, value in zip(weights.numpy(), found.tolist(), strict=True):
        assert value == pytest.approx(f1_score(is_bot, scores > 0.6, sample_weight=row))
    assert roc.f1_score(scores, is_bot, weights, 2.0).tolist() == [0.0] * 5


# The threshold.


@pytest.mark.parametrize("target", ["0.001", "0.01", "0.05", "0.29", "0.5"])
@pytest.mark.parametrize("grid", [0.0, 0.02, 0.3])
def test_a_threshold_keeps_its_target_fpr_and_is_the_lowest_one(target: str, grid: float) -> None:
    for n in (1, 7, 100, 334, 1000):
        human, _ = drawn(n, n, 0, 0.0, grid)
        found = threshold_at_fpr(human, float(target))
        flagged = sum(score > found.value for score in human.tolist())
        assert (found.flagged, found.n) == (flagged, n)
        assert Fraction(flagged, n) <= Fraction(target)
        lower = max((score for score in human.tolist() if score < found.value), default=None)
        if lower is not None:
            assert Fraction(sum(score > lower for score in human.tolist()), n) > Fraction(target)


def test_of_334_movements_one_percent_is_three_and_a_thousandth_is_none() -> None:
    human, _ = drawn(0, 334, 0, 0.0)
    found = [threshold_at_fpr(human, target) for target in (0.01, 0.001)]
    assert [t.flagged for t in found] == [3, 0]
    assert found[1].value == human.max().item()
    assert [t.expected_fpr for t in found] == pytest.approx([4 / 335, 1 / 335])
    assert [t.is_resolved for t in found] == [True, False]


def test_movements_of_equal_score_are_flagged_together_or_not_at_all() -> None:
    human = torch.tensor([0.9] * 5 + [0.1] * 95, dtype=torch.float64)
    assert [threshold_at_fpr(human, target).flagged for target in (0.04, 0.05, 0.06)] == [0, 5, 5]


def test_new_movements_are_flagged_at_the_expected_rate() -> None:
    """Null: 1,000 thresholds of 99 humans at 5 %; each flags (4 + 1) / 100 of new humans in expectation.

    The FPR of a threshold is Beta(5, 95): its mean over 1,000 has a s.d. of 0.0007; 4 of them (6e-5).
    """
    uniform = torch.rand(1000, 99, generator=generator(4, "people"), dtype=torch.float64)
    fpr = [1 - threshold_at_fpr(human, 0.05).value for human in uniform]  # of new uniform scores
    assert np.mean(fpr) == pytest.approx(5 / 100, abs=0.0028)
    assert threshold_at_fpr(uniform[0], 0.05).expected_fpr == 5 / 100


# Intervals.


def test_an_interval_equals_that_of_single_replicates() -> None:
    scores, is_bot = drawn(10, 40, 40, 0.8, 0.05)
    groups = [f"g{k % 8}" for k in range(40)] * 2
    found = detection_metrics(scores, is_bot, groups, 0.5, CONFIG, generator(6, "detection"))
    weights = cluster_weights(groups, is_bot, CONFIG.replicates, generator(6, "detection"))[1:].numpy()
    areas = [roc_auc_score(is_bot, scores, sample_weight=row) for row in weights]
    assert found.auc.value == pytest.approx(roc_auc_score(is_bot, scores))
    assert [found.auc.low, found.auc.high] == pytest.approx(np.quantile(areas, [0.05, 0.95]).tolist())
    assert found.f1.value == pytest.approx(f1_score(is_bot, scores > 0.5))
    assert (found.bots, found.humans, found.auc.replicates) == (40, 40, 200)


def test_replicates_without_a_bot_are_left_out_and_counted() -> None:
    scores, is_bot = drawn(11, 30, 3, 2.0)
    groups = [f"g{k % 6}" for k in range(30)] + ["g0"] * 3
    found = detection_metrics(scores, is_bot, groups, 0.5, CONFIG, generator(0, "detection"))
    assert 0.5 < found.auc.replicates / 200 < 0.8  # 1 - (5/6)^6 = 0.67; 4 s.d. are 0.13
    assert found.f1.replicates == found.auc.replicates


def test_intervals_of_the_area_cover_the_true_value_and_no_other() -> None:
    """Null: 30 users of 10 rows each, half of the variance between users; bots 1.2 s.d. higher: the area is 0.802.

    Over 600 samples the coverage is 0.92; the bound is 4 s.d. of 100 samples below (3e-5).
    Alternative: an area of 0.5 is never inside.
    """
    truth, inside, elsewhere = 0.5 * (1 + torch.erf(torch.tensor(0.6)).item()), 0, 0
    groups = [f"p{k}" for k in range(30) for _ in range(10)] + [f"b{k}" for k in range(100)]
    is_bot = torch.arange(400) >= 300
    for sample in range(100):
        random = generator(sample, "area")
        own = torch.randn(30, generator=random, dtype=torch.float64).repeat_interleave(10)
        human = (own + torch.randn(300, generator=random, dtype=torch.float64)) / 2**0.5
        bots = 1.2 + torch.randn(100, generator=random, dtype=torch.float64)
        found = detection_metrics(torch.cat([human, bots]), is_bot, groups, 0.0, BootstrapConfig(200), random)
        inside += found.auc.low <= truth <= found.auc.high
        elsewhere += found.auc.low <= 0.5
    assert inside / 100 > 0.81
    assert elsewhere == 0


def test_chunks_of_replicates_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, is_bot = drawn(12, 40, 30, 0.8)
    groups = [f"g{k % 7}" for k in range(70)]
    whole = detection_metrics(scores, is_bot, groups, 0.5, CONFIG, generator(0, "chunks"))
    monkeypatch.setattr(roc, "CHUNK", 7)
    assert detection_metrics(scores, is_bot, groups, 0.5, CONFIG, generator(0, "chunks")) == whole


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1])
def test_a_target_outside_of_zero_and_one_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match=rf"0 < target_fpr < 1.*got {target}"):
        threshold_at_fpr(torch.rand(9), target)


def test_scores_that_are_not_finite_are_refused_by_row() -> None:
    bad = torch.tensor([0.1, torch.nan, 0.3])
    with pytest.raises(ValueError, match="to be finite, at least one, but got nan in row 1"):
        threshold_at_fpr(bad, 0.1)
    with pytest.raises(ValueError, match="nan in row 1"):
        curve(bad, torch.tensor([True, False, True]), torch.ones(1, 3))
    with pytest.raises(ValueError, match="but got none"):
        threshold_at_fpr(bad[:0], 0.1)


def test_bots_alone_or_humans_alone_are_refused() -> None:
    scores, is_bot = drawn(13, 10, 0, 0.0)
    with pytest.raises(ValueError, match="but got 0 and 10"):
        detection_metrics(scores, is_bot, ["a"] * 10, 0.5, CONFIG, generator(0, "detection"))
