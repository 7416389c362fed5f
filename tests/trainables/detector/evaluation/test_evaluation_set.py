"""Laws of the set that detectors are judged on: made once, the same for all, and of people whom nobody trained on."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.trainables.detector.tiny import assert_same_movements, people
from trainables.core.config import ConfigError
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.dataset import DataSplits, load_splits
from trainables.detector.bots import BOTS
from trainables.detector.config import NegativesConfig
from trainables.detector.dataset.external_bots import OthersPeople
from trainables.detector.evaluation.evaluation_set import EvaluationSet, Sides, require_detector_split, trained_on

FORM = CanonicalConfig()


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    """A few movements of each split."""
    whole = load_splits(DataConfig())
    return replace(
        whole, splits={name: split.take(split.mask.sum(dim=1)[:12].argsort()) for name, split in whole.splits.items()}
    )


@pytest.fixture(scope="module")
def met(splits: DataSplits) -> EvaluationSet:
    return EvaluationSet.of(splits, "test", FORM, 7)


def test_figures_are_of_the_split_and_thresholds_of_the_validation_people(
    met: EvaluationSet, splits: DataSplits
) -> None:
    assert_same_movements(met.validation.people, splits["validation"])
    assert_same_movements(met.held_out.people, splits["test"])
    assert (met.bots, met.people, met.left_out) == (None, {}, ())


def test_every_style_makes_a_movement_for_everyone(met: EvaluationSet) -> None:
    assert Counter(met.held_out.bots.style) == dict.fromkeys(BOTS, 12)
    assert met.held_out.bots.canonical.group == met.held_out.people.group * len(BOTS)


def test_the_seed_makes_the_bots_and_nothing_else_does(met: EvaluationSet, splits: DataSplits) -> None:
    again = Sides.of(splits["test"], FORM, 7)
    assert_same_movements(again.bots.canonical, met.held_out.bots.canonical)
    other = Sides.of(splits["test"], FORM, 8).bots.canonical.deltas
    assert not other.equal(met.held_out.bots.canonical.deltas)


def test_what_cannot_be_judged_is_counted_by_reason(met: EvaluationSet) -> None:
    strangers = {
        "there": OthersPeople(people(2), {"too long": 3, "too short": 0, "still": 1}),
        "here": OthersPeople(people(2), {"too long": 0}),
    }
    assert replace(met, people=strangers).left_out == ("people of there, left out: 3 too long, 1 still",)


def test_a_detector_was_trained_on_all_families_but_those_held_out_and_on_its_generators() -> None:
    config = NegativesConfig(held_out=("pid", "noise"), gan=0.5, gan_checkpoint="somewhere")
    assert set(trained_on(config)) == {*config.families, "gan"}
    assert {"pid", "noise"}.isdisjoint(trained_on(config))
    assert trained_on(replace(config, bots=0.0)) == ("gan",)


@pytest.mark.parametrize("split", ["train", "validation", "holdout", ""])
def test_detectors_are_judged_on_the_test_split_alone(split: str) -> None:
    require_detector_split("test")
    with pytest.raises(ConfigError, match=f"expected `split` in {{test}}, but got split={split}"):
        require_detector_split(split)
