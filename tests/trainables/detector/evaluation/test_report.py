"""Laws of the judgement: thresholds from validation people alone, the worst first, counts that can be checked."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from tests.trainables.detector.scores import bots, judged_set, people
from trainables.core.config import ConfigError
from trainables.detector.evaluation.config import FiguresConfig
from trainables.detector.evaluation.report import KIN, NEW, SEEN, DetectorJudgement, judge_scores
from trainables.detector.evaluation.scored_movements import Scored, joined
from trainables.detector.evaluation.tables import sheets
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.intervals.config import BootstrapConfig

CONFIG = FiguresConfig(fprs=(0.05, 0.01), bins=10, movements=(1, 3), bootstrap=BootstrapConfig(replicates=100))
ELSEWHERE = people(7, persons=6, each=15, source="elsewhere", shift=1.5)


@pytest.fixture(scope="module")
def validation() -> Scored:
    return judged_set(1)


@pytest.fixture(scope="module")
def held_out() -> Scored:
    return joined(judged_set(2), ELSEWHERE)


@pytest.fixture(scope="module")
def judgement(validation: Scored, held_out: Scored) -> DetectorJudgement:
    return judge_scores(validation, held_out, ["plain"], CONFIG)


def test_thresholds_are_those_of_the_validation_people(judgement: DetectorJudgement, validation: Scored) -> None:
    expected = tuple(threshold_at_fpr(validation.people().score, fpr) for fpr in CONFIG.fprs)
    assert judgement.thresholds == expected
    assert [t.accused for t in expected] == [12, 2]


def test_figures_of_a_style_are_those_of_its_rows_against_the_people_of_the_same_source(
    judgement: DetectorJudgement, held_out: Scored
) -> None:
    of_lab = held_out.where("source", ["lab"]).score
    for row in judgement.styles:
        own = held_out.where("style", [row.name]).score
        scores, labels = torch.cat([of_lab, own]).numpy(), [0] * len(of_lab) + [1] * len(own)
        called = scores > judgement.thresholds[0].value
        assert (row.figures.bots, row.figures.people) == (240, 240)
        assert row.figures.auc.value == pytest.approx(roc_auc_score(labels, scores))
        assert row.figures.pr_auc.value == pytest.approx(average_precision_score(labels, scores))
        assert row.figures.f1.value == pytest.approx(f1_score(labels, called))
        for threshold, caught in zip(judgement.thresholds, row.caught, strict=True):
            assert caught.hits == sum(score > threshold.value for score in own.tolist())
            assert (caught.n, caught.groups) == (240, 12)


def test_the_least_caught_come_first(judgement: DetectorJudgement) -> None:
    assert [row.name for row in judgement.styles] == ["sly", "fair", "clear"]
    assert [row.name for row in judgement.families] == ["crafty", "plain"]
    plain = judgement.families[1]
    assert plain.caught[0].hits == sum(row.caught[0].hits for row in judgement.styles if row.family == "plain")
    assert plain.figures.bots == 480


def test_a_family_is_seen_kin_or_new(validation: Scored, held_out: Scored) -> None:
    def training(trained_on: list[str], kin: dict[str, tuple[str, ...]]) -> dict[str, str]:
        found = judge_scores(validation, held_out, trained_on, CONFIG, kin)
        return {row.name: row.training for row in found.families}

    assert training(["plain"], {}) == {"crafty": NEW, "plain": SEEN}
    assert training(["plain"], {"crafty": ("plain", "other")}) == {"crafty": KIN, "plain": SEEN}
    assert training(["other"], {"crafty": ("plain",)}) == {"crafty": NEW, "plain": NEW}


def test_the_worst_family_of_a_kind_is_the_first_of_it(judgement: DetectorJudgement) -> None:
    worst, seen = judgement.worst(), judgement.worst(SEEN)
    assert worst is not None
    assert seen is not None
    assert (worst.name, seen.name, judgement.worst(KIN)) == ("crafty", "plain", None)


def test_people_are_counted_by_source_and_by_person_most_accused_first(
    judgement: DetectorJudgement, held_out: Scored
) -> None:
    assert [(row.name, row.accused[0].n, row.accused[0].groups) for row in judgement.sources] == [
        ("elsewhere", 90, 6),
        ("lab", 240, 12),
    ]
    for row in judgement.people:
        own = held_out.people().where("group", [row.name]).score.tolist()
        for threshold, accused in zip(judgement.thresholds, row.accused, strict=True):
            assert accused.hits == sum(score > threshold.value for score in own)
    rates = [row.accused[0].value for row in judgement.people]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == 18


def test_held_out_people_change_no_threshold_and_no_temperature(validation: Scored, held_out: Scored) -> None:
    one, other = (judge_scores(validation, part, [], CONFIG) for part in (held_out, judged_set(3)))
    assert one.thresholds == other.thresholds
    assert one.calibration.temperature == other.calibration.temperature


def honest(seed: int, sharpness: float = 1.0, times: int = 1) -> Scored:
    """300 people's movements and `times` as many bots; log odds true at equal shares, times `sharpness`.

    Log odds x of N(-2, 1) and N(0, 1) become 2 (x + 1), the logarithm of the likelihoods' ratio.
    """
    of_people = people(seed, persons=30, each=10, own=0.0)
    both = joined(of_people, *(bots(100 * seed + k, of_people, {"b": ("b", 2.0)}) for k in range(times)))
    return replace(both, score=torch.sigmoid(sharpness * 2 * (torch.logit(both.score) + 1)))


@pytest.mark.parametrize("sharpness", [1.0, 3.0])
def test_probabilities_that_are_too_sure_are_found_and_cured(sharpness: float) -> None:
    """T has a relative s.d. of 0.08 over 100 seeds (4.5: 7e-6). Over the error of a calibrated detector that of
    honest scores is 0.92 (s.d. 0.23), of sharp ones 7.6 (s.d. 0.98), and of these, cured, 0.97 (s.d. 0.25).
    """
    found = judge_scores(honest(1, sharpness), honest(2, sharpness), [], CONFIG).calibration
    assert found.temperature.value == pytest.approx(sharpness, rel=0.36)
    assert found.prior == found.temperature.prior == 0.5
    assert (found.before.ece > 2.5 * found.before.ece_if_calibrated) == (sharpness == 3.0)
    assert found.after.ece < 2.2 * found.after.ece_if_calibrated


def test_calibration_is_told_of_people_and_as_many_bots() -> None:
    """Five times as many bots change nothing. The s.d. of the mean misfit is 0.008; 4.5 of them (7e-6)."""
    found = judge_scores(honest(1, times=5), honest(2, times=5), [], CONFIG).calibration
    assert (found.prior, found.temperature.prior) == (0.5, 0.5)
    assert sum(row.n for row in found.after.bins) == 600
    assert np.mean([row.predicted - row.observed for row in found.after.bins]) == pytest.approx(0.0, abs=0.036)


def test_fewer_bots_than_people_are_told_of_at_their_own_share() -> None:
    """Bayes' rule takes the odds from one half to 1/4, as the mean misfit of the held-out set shows (s.d. 0.009)."""
    held_out = honest(2)
    few = joined(held_out.people(), held_out.bots().take(list(range(0, 300, 3))))
    found = judge_scores(honest(1), few, [], CONFIG).calibration
    assert (found.prior, found.temperature.prior) == (0.25, 0.5)
    assert np.mean([row.predicted - row.observed for row in found.after.bins]) == pytest.approx(0.0, abs=0.04)


def test_a_judgement_survives_json(judgement: DetectorJudgement) -> None:
    text = json.dumps(judgement.to_json(), allow_nan=False)
    assert DetectorJudgement.from_json(json.loads(text)) == judgement


def test_a_damaged_judgement_is_refused(judgement: DetectorJudgement) -> None:
    whole = judgement.to_json()
    for damaged in ({**whole, "styles": [{}]}, {**whole, "level": "high"}, {"level": 1}, {**whole, "extra": 1}):
        with pytest.raises(ConfigError, match="not a DetectorJudgement"):
            DetectorJudgement.from_json(damaged)


def test_the_same_scores_give_the_same_judgement_whatever_their_order(
    judgement: DetectorJudgement, validation: Scored, held_out: Scored
) -> None:
    assert judge_scores(validation, held_out, ["plain"], CONFIG) == judgement
    order = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(0)).tolist()
    shuffled = judge_scores(validation, held_out.take(order), ["plain"], CONFIG)
    for one, other in zip(judgement.styles, shuffled.styles, strict=True):
        assert one.figures.auc.value == pytest.approx(other.figures.auc.value)
        assert one.caught == other.caught


def test_the_sheets_hold_every_style_and_every_source(judgement: DetectorJudgement) -> None:
    text = "\n".join(sheet.markdown() for sheet in sheets(judgement))
    names = [row.name for row in (*judgement.styles, *judgement.families)] + [row.name for row in judgement.sources]
    assert all(name in text for name in names)
    assert "TPR at 5 % FPR" in text
    assert "FPR, asked for 1 %" in text
    for sheet in sheets(judgement):
        assert all(len(row) == len(sheet.columns) for row in sheet.rows)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"fprs": ()}, "fprs"),
        ({"fprs": (0.01, 0.05)}, "falling"),
        ({"fprs": (1.0,)}, "fprs"),
        ({"bins": 0}, "bins=0"),
        ({"movements": (3, 1)}, "rising"),
        ({"movements": (0, 1)}, "movements"),
    ],
)
def test_settings_that_measure_nothing_are_refused(setting: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        FiguresConfig(**setting)  # type: ignore[arg-type]


def test_sets_that_judge_nothing_are_refused(validation: Scored, held_out: Scored) -> None:
    with pytest.raises(ConfigError, match="validation people >= 1"):
        judge_scores(validation.bots(), held_out, [], CONFIG)
    with pytest.raises(ConfigError, match="held-out bots >= 1"):
        judge_scores(validation, held_out.people(), [], CONFIG)
    with pytest.raises(ConfigError, match=r"nobody in the validation and the held-out set.*lab/1/p0"):
        judge_scores(validation, validation, [], CONFIG)
    with pytest.raises(ConfigError, match=r"held-out people of lab.*got elsewhere"):
        judge_scores(validation, joined(ELSEWHERE, held_out.bots()), [], CONFIG)
