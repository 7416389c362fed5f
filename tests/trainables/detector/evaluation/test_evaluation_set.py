"""Properties of the evaluation set: made once, the same for all detectors, and of users outside the training."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from tests.trainables.detector.tiny import assert_same_movements, human
from trainables.core.config import ConfigError, build
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.detector.bots import BOTS
from trainables.detector.config import NegativesConfig
from trainables.detector.dataset.agent_bots import AgentBots
from trainables.detector.dataset.external_bots import ExternalUsers
from trainables.detector.evaluation.config import DetectorEvaluationCommand
from trainables.detector.evaluation.evaluation_set import (
    EvaluationSet,
    HumansAndBots,
    trained_on,
)

FORM = CanonicalConfig()


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    """Return a few movements of each split."""
    whole = load_splits(DataConfig())
    return replace(
        whole, splits={name: split.take(split.mask.sum(dim=1)[:12].argsort()) for name, split in whole.splits.items()}
    )


@pytest.fixture(scope="module")
def evaluation_set(splits: DataSplits) -> EvaluationSet:
    return EvaluationSet.of(splits, "test", FORM, 7)


def test_metrics_are_of_the_split_and_thresholds_of_the_validation_users(
    evaluation_set: EvaluationSet, splits: DataSplits
) -> None:
    assert_same_movements(evaluation_set.validation.humans, splits["validation"])
    assert_same_movements(evaluation_set.held_out.humans, splits["test"])
    assert (evaluation_set.bots, evaluation_set.users, evaluation_set.excluded) == (None, {}, ())


def test_every_style_makes_a_movement_under_all_conditions(evaluation_set: EvaluationSet) -> None:
    assert Counter(evaluation_set.held_out.bots.style) == dict.fromkeys(BOTS, 12)
    assert evaluation_set.held_out.bots.canonical.group == evaluation_set.held_out.humans.group * len(BOTS)


def test_the_bots_depend_on_the_seed_alone(evaluation_set: EvaluationSet, splits: DataSplits) -> None:
    again = HumansAndBots.of(splits["test"], FORM, 7)
    assert_same_movements(again.bots.canonical, evaluation_set.held_out.bots.canonical)
    other = HumansAndBots.of(splits["test"], FORM, 8).bots.canonical.deltas
    assert not other.equal(evaluation_set.held_out.bots.canonical.deltas)


def test_unusable_movements_are_counted_by_reason(evaluation_set: EvaluationSet) -> None:
    external = {
        "there": ExternalUsers(human(2), {"too long": 3, "too short": 0, "still": 1}),
        "here": ExternalUsers(human(2), {"too long": 0}),
    }
    negatives = evaluation_set.held_out.bots
    agent = AgentBots(negatives, torch.arange(len(negatives)), "d" * 64, {"too long": 2, "too short": 0})
    assert replace(evaluation_set, agent=agent).excluded == ("trained agent, excluded: 2 too long",)
    assert replace(evaluation_set, users=external).excluded == ("users of there, excluded: 3 too long, 1 still",)


def test_a_detector_was_trained_on_all_families_but_those_held_out_and_on_its_generators() -> None:
    config = NegativesConfig(held_out=("pid", "noise"), gan=0.5, gan_checkpoint="somewhere")
    assert set(trained_on(config)) == {*config.families, "gan"}
    assert {"pid", "noise"}.isdisjoint(trained_on(config))
    assert trained_on(replace(config, bots=0.0)) == ("gan",)


@pytest.mark.parametrize("split", ["train", "validation", "holdout", ""])
def test_detectors_are_evaluated_on_the_test_split_alone(split: str) -> None:
    assert build(DetectorEvaluationCommand, {"ckpt": "folder", "split": "test"}).split == "test"
    with pytest.raises(
        ConfigError, match=f"expected `split` in {{test}}, but got {f'split={split}' if split else 'an'}"
    ):
        build(DetectorEvaluationCommand, {"ckpt": "folder", "split": split})
