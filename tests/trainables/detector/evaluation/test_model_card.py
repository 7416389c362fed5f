"""Laws of the detector card: limits first, every figure from the judgement, and what was not measured said so."""

import json
from dataclasses import replace

import pytest

from tests.trainables.detector.scores import judged_set, people
from trainables.detector.evaluation.config import FiguresConfig
from trainables.detector.evaluation.leave_one_out_matrix import LeaveOneOut
from trainables.detector.evaluation.model_card import LIMITS, DetectorCard, Origin
from trainables.detector.evaluation.per_source_thresholds import OwnThreshold
from trainables.detector.evaluation.report import DetectorJudgement, judge_scores
from trainables.detector.evaluation.scored_movements import joined
from trainables.detector.evaluation.shortcut_audit import Audit, Exposure
from trainables.eval.intervals.cluster_bootstrap import Estimate
from trainables.eval.intervals.config import BootstrapConfig

CONFIG = FiguresConfig(bins=10, movements=(1, 3), bootstrap=BootstrapConfig(replicates=50))
ORIGIN = Origin("a" * 64, "b" * 64, "cursory", {"training": "1,166 movements of 41 people"}, "1", {"gan": "c" * 64})
HALF = Exposure(Estimate(0.52, 0.48, 0.56, 50), {"held_share": 0.53}, ("off_tick",))


@pytest.fixture(scope="module")
def judgement() -> DetectorJudgement:
    elsewhere = people(9, persons=4, each=20, source="elsewhere", shift=1.5)
    return judge_scores(judged_set(1), joined(judged_set(2), elsewhere), ["plain"], CONFIG)


@pytest.fixture(scope="module")
def card(judgement: DetectorJudgement) -> DetectorCard:
    return DetectorCard("detector of a test", ORIGIN, judgement)


def test_the_limits_stand_before_every_figure(card: DetectorCard) -> None:
    page = card.markdown()
    assert page.index("## Limits of use") < page.index("## In short") < page.index("## Figures")
    for words in ("Never the sole basis** to block", "Touchpads", "Motor impairments", "Remote desktops"):
        assert words in page
    assert all(text in page for text in LIMITS.values())


def test_the_page_names_data_families_thresholds_and_every_source(card: DetectorCard) -> None:
    page = card.markdown()
    assert "Families of bots in the training: plain." in page
    assert "Weights aaaaaaaaaaaaaaaa, recordings cursory (bbbbbbbbbbbbbbbb)." in page
    assert "Negatives of gan: model cccccccccccccccc." in page
    assert "People, training: 1,166 movements of 41 people." in page
    for threshold in card.judgement.thresholds:
        assert f"{threshold.value:.6f}" in page
    for row in card.judgement.sources:
        found = row.accused[0]
        assert f"Of {found.n} movements of {found.groups} people of {row.name}" in page
    assert "Worst family never met: crafty" in page
    assert "Worst family trained on: plain" in page
    assert "Families whose like it was trained on: none was judged." in page


def test_what_was_not_measured_is_said_not_to_have_been(card: DetectorCard) -> None:
    page = card.markdown()
    assert "## Families left out of the training, one at a time\n\nNot measured." in page
    assert "## Shortcut audit\n\nNot made." in page
    assert "## What the embeddings tell\n\nNot made." in page
    assert card.to_json()["audit"] is card.to_json()["leave_one_out"] is None


def test_other_sources_have_thresholds_of_their_own(card: DetectorCard, judgement: DetectorJudgement) -> None:
    [own] = judgement.own_thresholds
    assert own.fixed is not None
    page = card.markdown()
    assert (
        f"For elsewhere a threshold of {own.fixed.value:.6f}, fixed for 1 % of 40 movements of 2 of its people" in page
    )
    alone = replace(judgement, own_thresholds=(OwnThreshold("elsewhere", 1),))
    assert "For elsewhere no threshold of its own can be told" in replace(card, judgement=alone).markdown()
    assert "none: one person" in replace(card, judgement=alone).markdown()


def test_what_was_left_out_is_counted_on_it(card: DetectorCard) -> None:
    assert "## Not judged\n\n- Nothing was left out." in card.markdown()
    lines = ("ghost_cursor, left out: 288 too long",)
    told = replace(card, left_out=lines)
    assert f"## Not judged\n\n- {lines[0]}" in told.markdown()
    assert told.to_json()["left_out"] == [*lines]


def test_an_audit_and_a_table_of_families_stand_on_it(card: DetectorCard, judgement: DetectorJudgement) -> None:
    audit = Audit(300, 300, None, HALF, HALF)
    whole = replace(card, audit=audit, leave_one_out=LeaveOneOut.of({"crafty": judgement}))
    page = whole.markdown()
    assert audit.finding in page
    assert "Families never trained on, fewest caught first" in page
    failed = replace(card, audit=replace(audit, canonical=replace(HALF, auc=Estimate(0.9, 0.85, 0.95, 50))))
    assert "FAILED: nuisances in the canonical form tell bots from people (AUC 0.900" in failed.markdown()


def test_the_card_is_plain_json_with_the_whole_judgement(card: DetectorCard) -> None:
    content = json.loads(json.dumps(card.to_json(), allow_nan=False))
    assert DetectorJudgement.from_json(content["judgement"]) == card.judgement
    assert content["limits"] == dict(LIMITS)
    assert content["origin"]["generators"] == {"gan": "c" * 64}
