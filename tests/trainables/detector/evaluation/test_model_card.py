"""The model card: limits first, every number from the evaluation, and a line for what was not measured."""

import json
from dataclasses import replace

import pytest

from tests.trainables.detector.scores import example_set, humans
from trainables.data.training_users import users_account
from trainables.detector.evaluation.config import DetectorReportConfig
from trainables.detector.evaluation.leave_one_out_matrix import LeaveOneOut
from trainables.detector.evaluation.model_card import LIMITS, DetectorCard, TrainingData
from trainables.detector.evaluation.per_source_thresholds import SourceThreshold
from trainables.detector.evaluation.report import (
    DetectorEvaluation,
    evaluate_scores,
)
from trainables.detector.evaluation.scored_movements import joined
from trainables.detector.evaluation.shortcut_audit import Audit, Exposure
from trainables.eval.intervals.cluster_bootstrap import Estimate
from trainables.eval.intervals.config import BootstrapConfig

CONFIG = DetectorReportConfig(bins=10, movements=(1, 3), bootstrap=BootstrapConfig(replicates=50))
TRAINED = TrainingData(
    "a" * 64, "b" * 64, "cursory", {"training": "1,166 movements of 41 users"}, "1", {"gan": "c" * 64}
)
HALF = Exposure(Estimate(0.52, 0.48, 0.56, 50), {"held_share": 0.53}, ("off_tick",))


@pytest.fixture(scope="module")
def evaluation() -> DetectorEvaluation:
    elsewhere = humans(9, users=4, each=20, source="elsewhere", shift=1.5)
    return evaluate_scores(example_set(1), joined(example_set(2), elsewhere), ["plain"], CONFIG)


@pytest.fixture(scope="module")
def card(evaluation: DetectorEvaluation) -> DetectorCard:
    return DetectorCard("detector of a test", TRAINED, evaluation)


def test_the_page_names_the_agent_that_was_evaluated(card: DetectorCard) -> None:
    assert "family agent" not in card.markdown()
    with_agent = replace(card, agent="e" * 64)
    assert "- Bots of the family agent: model eeeeeeeeeeeeeeee, never trained on." in with_agent.markdown()
    for trained, known in (("e" * 64, "trained on"), ("f" * 64, "never trained on, unlike another agent's")):
        data = replace(card.training_data, generators={"agent": trained})
        page = replace(with_agent, training_data=data).markdown()
        assert f"- Bots of the family agent: model eeeeeeeeeeeeeeee, {known}." in page
    assert (card.to_json()["agent"], with_agent.to_json()["agent"]) == ("", "e" * 64)


def test_the_limitations_precede_every_number(card: DetectorCard) -> None:
    page = card.markdown()
    assert page.index("## Limits of use") < page.index("## Summary") < page.index("## Metrics")
    for words in ("Never the sole basis** to block", "Touchpads", "Motor impairments", "Remote desktops"):
        assert words in page
    assert all(text in page for text in LIMITS.values())


def test_the_page_names_data_families_thresholds_and_every_source(card: DetectorCard) -> None:
    page = card.markdown()
    assert "Families of bots in the training: plain." in page
    assert "Weights aaaaaaaaaaaaaaaa, recordings cursory (bbbbbbbbbbbbbbbb)." in page
    assert "Negatives of gan: model cccccccccccccccc." in page
    assert "Users, training: 1,166 movements of 41 users." in page
    for threshold in card.evaluation.thresholds:
        assert f"{threshold.value:.6f}" in page
    for row in card.evaluation.sources:
        fpr = row.flagged[0]
        assert f"FPR on {fpr.n} movements of {fpr.users} users of {row.name}" in page
    assert "Worst unseen family: crafty" in page
    assert "Worst seen family: plain" in page
    assert "No related families were evaluated." in page


def test_the_page_states_numbers_of_the_users_of_the_training_and_where_their_names_stand(card: DetectorCard) -> None:
    assert "Users of the training: unknown: trained before version 0.3.0." in card.markdown()
    assert card.to_json()["training_data"]["users"] == "unknown: trained before version 0.3.0"
    account = users_account({"users": {"train": {"a/one": 3, "a/two": 1}, "validation": {"a/three": 2}}})
    known = replace(card, training_data=replace(TRAINED, users=account))
    assert "Users trained on: 2 (1.6 effective), 4 movements." in known.markdown()
    assert "Names of these users: `users` in record.json of the checkpoint." in known.markdown()
    assert known.to_json()["training_data"]["users"] == account
    assert "a/one" not in known.markdown()


def test_the_page_names_the_critic_where_there_is_one(card: DetectorCard) -> None:
    assert "critic" not in card.markdown()
    known = replace(card, training_data=replace(TRAINED, critic="d" * 64))
    assert f"Goal consistency is an input: critic {'d' * 16}." in known.markdown()


def test_the_page_names_what_was_not_measured(card: DetectorCard) -> None:
    page = card.markdown()
    assert "## Leave-one-family-out\n\nNot measured." in page
    assert "## Shortcut audit\n\nNot measured." in page
    assert "## Embedding probes\n\nNot measured." in page
    assert card.to_json()["audit"] is card.to_json()["leave_one_out"] is None


def test_other_sources_have_their_own_thresholds(card: DetectorCard, evaluation: DetectorEvaluation) -> None:
    [own] = evaluation.source_thresholds
    assert own.threshold is not None
    page = card.markdown()
    threshold = f"elsewhere: threshold {own.threshold.value:.6f}, fitted at 1 % FPR on 40 movements of 2 of its users"
    assert threshold in page
    alone = replace(evaluation, source_thresholds=(SourceThreshold("elsewhere", 1),))
    assert "elsewhere has only one user: at least two" in replace(card, evaluation=alone).markdown()
    assert "none: one user" in replace(card, evaluation=alone).markdown()


def test_excluded_movements_are_counted(card: DetectorCard) -> None:
    assert "## Excluded\n\n- Nothing was excluded." in card.markdown()
    lines = ("ghost_cursor, excluded: 288 too long",)
    excluded = replace(card, excluded=lines)
    assert f"## Excluded\n\n- {lines[0]}" in excluded.markdown()
    assert excluded.to_json()["excluded"] == [*lines]


def test_the_page_holds_an_audit_and_a_leave_one_out_table(card: DetectorCard, evaluation: DetectorEvaluation) -> None:
    audit = Audit(300, 300, None, HALF, HALF)
    whole = replace(card, audit=audit, leave_one_out=LeaveOneOut.of({"crafty": evaluation}))
    page = whole.markdown()
    assert audit.finding in page
    assert "Unseen families, lowest TPR first" in page
    failed = replace(card, audit=replace(audit, canonical=replace(HALF, auc=Estimate(0.9, 0.85, 0.95, 50))))
    assert "FAILED: nuisances in the canonical form separate bots from users (ROC-AUC 0.900" in failed.markdown()


def test_the_card_is_plain_json_with_the_whole_evaluation(card: DetectorCard) -> None:
    content = json.loads(json.dumps(card.to_json(), allow_nan=False))
    assert DetectorEvaluation.from_json(content["evaluation"]) == card.evaluation
    assert content["limits"] == dict(LIMITS)
    assert content["training_data"]["generators"] == {"gan": "c" * 64}
