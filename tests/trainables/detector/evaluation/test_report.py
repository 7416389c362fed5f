"""Properties of an evaluation: thresholds from validation users alone, the worst first, counts that can be checked."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from tests.trainables.detector.scores import bots, example_set, humans
from trainables.core.config import ConfigError
from trainables.detector.evaluation.config import DetectorReportConfig
from trainables.detector.evaluation.report import (
    RELATED,
    SEEN,
    UNSEEN,
    DetectorEvaluation,
    evaluate_scores,
)
from trainables.detector.evaluation.scored_movements import ScoredMovements, joined
from trainables.detector.evaluation.tables import tables
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.intervals.config import BootstrapConfig

CONFIG = DetectorReportConfig(fprs=(0.05, 0.01), bins=10, movements=(1, 3), bootstrap=BootstrapConfig(replicates=100))
ELSEWHERE = humans(7, users=6, each=15, source="elsewhere", shift=1.5)


@pytest.fixture(scope="module")
def validation() -> ScoredMovements:
    return example_set(1)


@pytest.fixture(scope="module")
def held_out() -> ScoredMovements:
    return joined(example_set(2), ELSEWHERE)


@pytest.fixture(scope="module")
def evaluation(validation: ScoredMovements, held_out: ScoredMovements) -> DetectorEvaluation:
    return evaluate_scores(validation, held_out, ["plain"], CONFIG)


def test_thresholds_are_those_of_the_validation_users(
    evaluation: DetectorEvaluation, validation: ScoredMovements
) -> None:
    expected = tuple(threshold_at_fpr(validation.humans().score, fpr) for fpr in CONFIG.fprs)
    assert evaluation.thresholds == expected
    assert [t.flagged for t in expected] == [12, 2]


def test_metrics_of_a_style_are_those_of_its_rows_against_the_users_of_the_same_source(
    evaluation: DetectorEvaluation, held_out: ScoredMovements
) -> None:
    of_lab = held_out.where("source", ["lab"]).score
    for row in evaluation.styles:
        own = held_out.where("style", [row.name]).score
        scores, labels = torch.cat([of_lab, own]).numpy(), [0] * len(of_lab) + [1] * len(own)
        called = scores > evaluation.thresholds[0].value
        assert (row.metrics.bots, row.metrics.humans) == (240, 240)
        assert row.metrics.auc.value == pytest.approx(roc_auc_score(labels, scores))
        assert row.metrics.pr_auc.value == pytest.approx(average_precision_score(labels, scores))
        assert row.metrics.f1.value == pytest.approx(f1_score(labels, called))
        for threshold, detected in zip(evaluation.thresholds, row.detected, strict=True):
            assert detected.hits == sum(score > threshold.value for score in own.tolist())
            assert (detected.n, detected.users) == (240, 12)


def test_the_lowest_tpr_comes_first(evaluation: DetectorEvaluation) -> None:
    assert [row.name for row in evaluation.styles] == ["sly", "fair", "clear"]
    assert [row.name for row in evaluation.families] == ["crafty", "plain"]
    plain = evaluation.families[1]
    assert plain.detected[0].hits == sum(row.detected[0].hits for row in evaluation.styles if row.family == "plain")
    assert plain.metrics.bots == 480


def test_a_family_is_seen_related_or_unseen(validation: ScoredMovements, held_out: ScoredMovements) -> None:
    def training(trained_on: list[str], related: dict[str, tuple[str, ...]]) -> dict[str, str]:
        found = evaluate_scores(validation, held_out, trained_on, CONFIG, related)
        return {row.name: row.training for row in found.families}

    assert training(["plain"], {}) == {"crafty": UNSEEN, "plain": SEEN}
    assert training(["plain"], {"crafty": ("plain", "other")}) == {"crafty": RELATED, "plain": SEEN}
    assert training(["other"], {"crafty": ("plain",)}) == {"crafty": UNSEEN, "plain": UNSEEN}


def test_the_worst_family_of_a_relation_is_its_first_row(evaluation: DetectorEvaluation) -> None:
    worst, seen = evaluation.worst(), evaluation.worst(SEEN)
    assert worst is not None
    assert seen is not None
    assert (worst.name, seen.name, evaluation.worst(RELATED)) == ("crafty", "plain", None)


def test_users_are_counted_by_source_and_by_user_highest_fpr_first(
    evaluation: DetectorEvaluation, held_out: ScoredMovements
) -> None:
    assert [(row.name, row.flagged[0].n, row.flagged[0].users) for row in evaluation.sources] == [
        ("elsewhere", 90, 6),
        ("lab", 240, 12),
    ]
    for row in evaluation.users:
        own = held_out.humans().where("group", [row.name]).score.tolist()
        for threshold, flagged in zip(evaluation.thresholds, row.flagged, strict=True):
            assert flagged.hits == sum(score > threshold.value for score in own)
    rates = [row.flagged[0].value for row in evaluation.users]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == 18


def test_held_out_users_change_no_threshold_and_no_temperature(
    validation: ScoredMovements, held_out: ScoredMovements
) -> None:
    one, other = (evaluate_scores(validation, part, [], CONFIG) for part in (held_out, example_set(3)))
    assert one.thresholds == other.thresholds
    assert one.calibration.temperature == other.calibration.temperature


def calibrated(seed: int, sharpness: float = 1.0, times: int = 1) -> ScoredMovements:
    """Return 300 movements of users and `times` as many bots; calibrated log odds at equal shares, times `sharpness`.

    Log odds x of N(-2, 1) and N(0, 1) become 2 (x + 1), the logarithm of the likelihoods' ratio.
    """
    of_users = humans(seed, users=30, each=10, own=0.0)
    both = joined(of_users, *(bots(100 * seed + k, of_users, {"b": ("b", 2.0)}) for k in range(times)))
    return replace(both, score=torch.sigmoid(sharpness * 2 * (torch.logit(both.score) + 1)))


@pytest.mark.parametrize("sharpness", [1.0, 3.0])
def test_overconfident_probabilities_are_detected_and_corrected(sharpness: float) -> None:
    """T has a relative s.d. of 0.08 over 100 seeds (4.5: 7e-6). Over the error of a calibrated detector that of
    calibrated scores is 0.92 (s.d. 0.23), of sharp ones 7.6 (s.d. 0.98), and of these, corrected, 0.97 (s.d. 0.25).
    """
    found = evaluate_scores(calibrated(1, sharpness), calibrated(2, sharpness), [], CONFIG).calibration
    assert found.temperature.value == pytest.approx(sharpness, rel=0.36)
    assert found.prior == found.temperature.prior == 0.5
    assert (found.before.ece > 2.5 * found.before.ece_if_calibrated) == (sharpness == 3.0)
    assert found.after.ece < 2.2 * found.after.ece_if_calibrated


def test_calibration_is_measured_on_users_and_as_many_bots() -> None:
    """Five times as many bots change nothing. The s.d. of the mean misfit is 0.008; 4.5 of them (7e-6)."""
    found = evaluate_scores(calibrated(1, times=5), calibrated(2, times=5), [], CONFIG).calibration
    assert (found.prior, found.temperature.prior) == (0.5, 0.5)
    assert sum(row.n for row in found.after.bins) == 600
    assert np.mean([row.predicted - row.observed for row in found.after.bins]) == pytest.approx(0.0, abs=0.036)


def test_with_fewer_bots_than_users_the_prior_is_their_share() -> None:
    """Bayes' rule takes the odds from one half to 1/4, as the mean misfit of the held-out set shows (s.d. 0.009)."""
    held_out = calibrated(2)
    few = joined(held_out.humans(), held_out.bots().take(list(range(0, 300, 3))))
    found = evaluate_scores(calibrated(1), few, [], CONFIG).calibration
    assert (found.prior, found.temperature.prior) == (0.25, 0.5)
    assert np.mean([row.predicted - row.observed for row in found.after.bins]) == pytest.approx(0.0, abs=0.04)


def test_an_evaluation_is_restored_from_its_json(evaluation: DetectorEvaluation) -> None:
    text = json.dumps(evaluation.to_json(), allow_nan=False)
    assert DetectorEvaluation.from_json(json.loads(text)) == evaluation


def test_a_damaged_evaluation_is_refused(evaluation: DetectorEvaluation) -> None:
    whole = evaluation.to_json()
    for damaged in ({**whole, "styles": [{}]}, {**whole, "level": "high"}, {"level": 1}, {**whole, "extra": 1}):
        with pytest.raises(ConfigError, match="not a DetectorEvaluation of this version"):
            DetectorEvaluation.from_json(damaged)


def test_the_same_scores_give_the_same_evaluation_in_any_order(
    evaluation: DetectorEvaluation, validation: ScoredMovements, held_out: ScoredMovements
) -> None:
    assert evaluate_scores(validation, held_out, ["plain"], CONFIG) == evaluation
    order = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(0)).tolist()
    shuffled = evaluate_scores(validation, held_out.take(order), ["plain"], CONFIG)
    for one, other in zip(evaluation.styles, shuffled.styles, strict=True):
        assert one.metrics.auc.value == pytest.approx(other.metrics.auc.value)
        assert one.detected == other.detected


def test_the_tables_hold_every_style_and_every_source(evaluation: DetectorEvaluation) -> None:
    text = "\n".join(table.markdown() for table in tables(evaluation))
    names = [row.name for row in (*evaluation.styles, *evaluation.families)] + [row.name for row in evaluation.sources]
    assert all(name in text for name in names)
    assert "TPR at 5 % FPR" in text
    assert "FPR at a target of 1 %" in text
    for table in tables(evaluation):
        assert all(len(row) == len(table.columns) for row in table.rows)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"fprs": ()}, "fprs"),
        ({"fprs": (0.01, 0.05)}, "falling"),
        ({"fprs": (1.0,)}, "fprs"),
        ({"bins": 0}, "bins=0"),
        ({"movements": (3, 1)}, "rising"),
        ({"movements": (0, 1)}, "movements"),
    ],
)
def test_invalid_settings_are_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DetectorReportConfig(**setting)  # type: ignore[arg-type]


def test_incomplete_sets_are_refused(validation: ScoredMovements, held_out: ScoredMovements) -> None:
    with pytest.raises(ConfigError, match="validation users >= 1"):
        evaluate_scores(validation.bots(), held_out, [], CONFIG)
    with pytest.raises(ConfigError, match="held-out bots >= 1"):
        evaluate_scores(validation, held_out.humans(), [], CONFIG)
    with pytest.raises(ConfigError, match=r"no user in both the validation and the held-out set.*lab/1/p0"):
        evaluate_scores(validation, validation, [], CONFIG)
    with pytest.raises(ConfigError, match=r"held-out users of lab.*got elsewhere"):
        evaluate_scores(validation, joined(ELSEWHERE, held_out.bots()), [], CONFIG)
